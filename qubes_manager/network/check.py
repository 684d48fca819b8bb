"""Whether a network can be kept apart on this machine: all of it is tried, in a namespace that goes again at once."""

import os
import shutil
import subprocess

from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.network.addresses import guest_network
from qubes_manager.network.inside import PATH, listen_for_dns, set_up
from qubes_manager.network.namespaces import enter_new, enter_new_users, open_tap
from qubes_manager.network.ruleset import CARD, Surroundings, first_rules, ruleset

GOOD = "isolated"
# What is run, and the Debian package that has it.
_TOOLS = {
    "pasta": "passt",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "bwrap": "bubblewrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "prlimit": "util-linux",
}
_SECONDS = 10.0


def check(folder: str) -> str | int:
    """Say that it can, and return 0; else return why not, and what to do."""
    missing = [tool for tool in _TOOLS if not shutil.which(tool, path=PATH)]
    if missing:
        packages = " ".join(sorted({_TOOLS[tool] for tool in missing}))
        return f"{', '.join(missing)} not installed: run “apt-get install {packages}”"
    try:
        # As a start does: one that all domains' are made in, and one below it.
        enter_new_users()
        enter_new(as_root=True)
    except OSError as error:
        return f"the kernel gives you no namespaces ({error.strerror}): {_advice()}"
    try:
        tap = open_tap(CARD)
    except OSError as error:
        return f"/dev/net/tun cannot be used ({error.strerror}): load the module tun"
    network = guest_network(folder)
    try:
        set_up(network)
        for opened in listen_for_dns():
            opened.close()
        for rules in (first_rules(network), *ruleset(Firewall(), network, Surroundings((), {}, 1, 0))):
            _run("nft", "-f", "-", feed=rules)
        _run("bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "--cap-drop", "ALL", "/bin/true")
    except OSError as error:
        return str(error)
    finally:
        os.close(tap)
    print(GOOD)
    return 0


def _advice() -> str:
    """What to do about it, by what this system has."""
    for name, value in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
        ("user/max_net_namespaces", "0"),
    ):
        try:
            with open(f"/proc/sys/{name}") as file:  # noqa: PTH123
                found = file.read().strip()
        except OSError:
            continue
        if found == value:
            right = {"1": "0", "0": "1"}[value] if name.startswith("kernel/") else "10000"
            return f"let an administrator run “sysctl -w {name.replace('/', '.')}={right}”"
    return "let an administrator allow user namespaces"


def _run(*words: str, feed: str = "") -> None:
    try:
        subprocess.run(
            words, input=feed, env={"PATH": PATH}, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or "").splitlines() if line and "kmod" not in line]
        raise OSError(f"{words[0]} does not do what is needed: {' '.join(lines[:2]) or error.returncode}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise OSError(f"{words[0]}: {error}") from error
