"""How a domain gets its address: dnsmasq, apart from the user's files and from the packet filter.

It hears a hostile guest. It sees the system's libraries and nothing of the user's, has the three capabilities in the
domain's namespace that it does not start without, and a seccomp filter keeps it from the packet filter that they would
open to it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from qubes_manager.core.firewall.dns import DNS4, DNS6
from qubes_manager.network.addresses import GuestNetwork
from qubes_manager.network.ruleset import CARD

_CAPABILITIES = ("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_NET_ADMIN")
_SEEN = ("/usr", "/etc/passwd", "/etc/group", "/etc/ld.so.cache")
_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin"), ("usr/sbin", "/sbin"))
_MEMORY = 256 << 20
_MAX_LEASES = 4


def dhcp_command(network: GuestNetwork, seccomp: int) -> list[str]:
    """Return the command line, to be run inside the namespace; *seccomp* is a descriptor of the compiled filter."""
    return [*_limits(), *_sandbox(seccomp), *_dnsmasq(network)]


def _limits() -> Sequence[str]:
    return ("prlimit", f"--as={_MEMORY}", "--nofile=64", "--fsize=0", "--core=0", "--")


def system_files() -> Iterator[str]:
    """What shows bwrap's program the system's own files, and none of a user's."""
    for path in _SEEN:
        yield from ("--ro-bind-try", path, path)
    for link in _LINKS:
        yield from ("--symlink", *link)


def _sandbox(seccomp: int) -> Iterator[str]:
    yield from ("bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin")
    yield from system_files()
    yield from ("--proc", "/proc", "--dev", "/dev", "--chdir", "/", "--cap-drop", "ALL")
    for capability in _CAPABILITIES:
        yield from ("--cap-add", capability)
    yield from ("--seccomp", str(seccomp), "--")


def _dnsmasq(network: GuestNetwork) -> Iterator[str]:
    # Without --no-daemon it would take another user's identity, and there is none in its namespace.
    yield from (
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--no-hosts",
        "--no-resolv",
        "--pid-file=",
    )
    yield from (f"--interface={CARD}", "--bind-interfaces", "--no-ping", "--leasefile-ro", "--quiet-dhcp", "--quiet-ra")
    yield from (
        "--dhcp-authoritative",
        "--dhcp-ignore-clid",
        f"--dhcp-lease-max={_MAX_LEASES}",
        "--dhcp-option=option:domain-name",
    )
    # There is one address, for the one card. A lease is short, since a guest that changes its card's number waits for
    # its end; a guest's early programs and its later ones call themselves differently.
    yield f"--dhcp-range={network.guest},{network.guest},255.255.255.0,2m"
    yield f"--dhcp-option=option:router,{network.gateway}"
    yield f"--dhcp-option=option:dns-server,{DNS4}"
    yield from ("--enable-ra", f"--dhcp-range={network.prefix6.network_address},ra-only")
    yield f"--dhcp-option=option6:dns-server,[{DNS6}]"


def filter_path(folder: Path) -> Path:
    """Where the compiled seccomp filter lies."""
    return folder / "dhcp.seccomp"
