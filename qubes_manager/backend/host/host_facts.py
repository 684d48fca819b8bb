"""What this machine is and has, for the set-up's check of it. All block."""

import asyncio
import contextlib
import getpass
import grp
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import libvirt

from qubes_manager.backend.host import sound_server
from qubes_manager.backend.host.host_tools import run_long_tool, run_tool_now
from qubes_manager.backend.host.kvm_trial import claims_kvm
from qubes_manager.core.errors import NotFound, QubesManagerError
from qubes_manager.core.sound import can_be_heard

_VALIDATE = re.compile(r"^\s*QEMU: Checking (.+?)\s*: (PASS|WARN|FAIL|NOTE)(?: \((.*)\))?\s*$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_SBIN = ":/usr/sbin:/sbin"
_VALIDATE_SECONDS = 30
_TOOL_SECONDS = 10
_EMULATOR = "qemu-system-x86_64"
# What consoles run under: it is the one that has GTK.
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class Versions:
    """Of libvirt and of its hypervisor, in words."""

    libvirt: str
    hypervisor: str
    offers_kvm: bool


def read_versions(raw: libvirt.virConnect) -> Versions:
    """Return a connection's versions."""
    try:
        hypervisor = f"{raw.getType()} {_dotted(raw.getVersion())}"
    except libvirt.libvirtError:
        hypervisor = str(raw.getType())
    return Versions(_dotted(raw.getLibVersion()), hypervisor, claims_kvm(raw))


def _dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def host_validation() -> list[tuple[str, str, str]]:
    """Return (what, PASS, WARN, FAIL or NOTE, advice) as virt-host-validate says; empty where it is not installed."""
    lines: list[str] = []
    # It exits with an error when a check fails, which is nothing that failed here.
    with contextlib.suppress(NotFound, QubesManagerError):
        run_long_tool(["virt-host-validate", "qemu"], on_line=lines.append, timeout=_VALIDATE_SECONDS)
    found = (_VALIDATE.match(_COLOURS.sub("", line)) for line in lines)
    return [(match[1], match[2], match[3] or "") for match in found if match]


def memory() -> tuple[int, int]:
    """Return the bytes of memory that there are, and that are available."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE))
    return int(found.get("MemTotal", 0)) * 1024, int(found.get("MemAvailable", 0)) * 1024


def free_space(folder: Path) -> int:
    """Return the bytes that are free where *folder* is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def iommu_groups() -> int:
    """Return how many groups of devices can be handed to domains whole."""
    try:
        return len(list(Path("/sys/kernel/iommu_groups").iterdir()))
    except OSError:
        return 0


def in_group(name: str) -> bool | None:
    """Whether this process belongs to a group; None when the system has no such group."""
    try:
        return grp.getgrnam(name).gr_gid in os.getgroups() or os.geteuid() == 0
    except KeyError:
        return None


def is_root() -> bool:
    """Whether this process may do everything."""
    return os.geteuid() == 0


def has_tool(name: str) -> bool:
    """Whether a program is installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + _SBIN) is not None


def sound_trouble(uri: str) -> tuple[str, str]:
    """Return why domains of a connection cannot be heard here, and what to do; both are empty when they can."""
    if not can_be_heard(uri):
        return "QEMU does not run as you there", "Domains of your own session (qemu:///session) are heard."
    if not asyncio.run(sound_server.answers(sound_server.server_address())):
        return "no sound server answers", "Domains start without sound as long as neither PulseAudio nor PipeWire runs."
    if not sound_server.can_play(_EMULATOR):
        return "QEMU lacks the part that plays", installing("qemu-system-gui") or "Install QEMU’s part for PulseAudio."
    return "", ""


def sandbox_trouble() -> str:
    """Why what guests draw cannot be shown in a sandbox here; empty when it can."""
    if not has_tool("bwrap"):
        return "bubblewrap is not installed"
    try:
        run_tool_now(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], timeout=_TOOL_SECONDS)
    except QubesManagerError as error:
        return f"the kernel gives no sandbox: {error}"
    return ""


def installing(package: str) -> str:
    """How to get a package, in words; empty where it cannot be had."""
    try:
        policy = run_tool_now(["apt-cache", "policy", package], timeout=_TOOL_SECONDS).decode("utf-8", "replace")
    except QubesManagerError:
        return ""
    is_offered = re.search(r"^  Candidate: [0-9]", policy, re.MULTILINE)
    return f"Run “apt-get install {package}”." if is_offered else ""


def has_identities() -> bool:
    """Whether the user may have a user namespace with identities of its own (subuid(5)); root needs none."""
    if os.geteuid() == 0:
        return True
    try:
        lines = Path("/etc/subuid").read_text().splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in (getpass.getuser(), str(os.getuid())) for line in lines)


def can_open_kvm() -> bool | None:
    """Whether the device of KVM can be opened; None when there is none."""
    device = Path("/dev/kvm")
    return os.access(device, os.R_OK | os.W_OK) if device.exists() else None
