"""The disc that tells a cloud image who its user is (cloud-init's NoCloud source): an ISO labelled CIDATA."""

import io
from importlib import resources
from pathlib import Path

import yaml

_PLACES = {
    "private-volume.sh": ("/usr/lib/qubes-manager/private-volume", "0755"),
    "qubes-manager-private.service": ("/etc/systemd/system/qubes-manager-private.service", "0644"),
}
_RULE = "/etc/udev/rules.d/60-qubes-manager-private.rules"
# A cloud image boots by itself, so no word on the kernel's command line tells whether a private volume is to come.
_RULE_TEXT = (
    'SUBSYSTEM=="block", ENV{ID_SERIAL}=="private", TAG+="systemd", '
    'ENV{SYSTEMD_WANTS}="qubes-manager-private.service"\n'
)


def user_data() -> str:
    """The cloud-config: the user, the agent, and the unit that mounts the private volume."""
    folder = resources.files("qubes_manager.guest") / "debian"
    config = {
        "users": [{"name": "user", "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "lock_passwd": True}],
        "packages": ["qemu-guest-agent"],
        "write_files": [
            {"path": place, "permissions": mode, "content": _content((folder / name).read_text("utf-8"))}
            for name, (place, mode) in _PLACES.items()
        ]
        + [{"path": _RULE, "permissions": "0644", "content": _RULE_TEXT}],
        "runcmd": [["systemctl", "enable", "--now", "qemu-guest-agent.service"]],
    }
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False)


def _content(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if "ConditionKernelCommandLine" not in line)


def write_seed(target: Path, instance: str) -> None:
    """Write the disc for the domain with the UUID *instance*. Blocks."""
    # 5 MB that only this needs.
    import pycdlib

    files = {"user-data": user_data(), "meta-data": yaml.safe_dump({"instance-id": instance})}
    disc = pycdlib.PyCdlib()
    disc.new(vol_ident="CIDATA", joliet=3, rock_ridge="1.09")
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        disc.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    disc.write(str(target))
    disc.close()
