"""Whether a machine can do what this program wants of it, each with a plain verdict and what to do."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qubes_manager.backend.host import block_server, host_facts
from qubes_manager.backend.host.daemon_paths import DaemonPaths, daemon_paths, is_users
from qubes_manager.backend.viewers import needs
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.sizes import format_size
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.network.isolation import Isolation

_MIN_MEMORY, _GOOD_MEMORY = 2 << 30, 8 << 30
_MIN_DISK, _GOOD_DISK = 5 << 30, 30 << 30
# What building a template needs, and the package that has it.
_BUILD_TOOLS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "newuidmap": "uidmap"}


class Verdict(Enum):
    """How a check went."""

    GOOD = "good"
    POOR = "could be better"
    BAD = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, the verdict, what was found, and what to do about it."""

    title: str
    verdict: Verdict
    found: str
    advice: str = ""


class HostCheck:
    """Looks at the machine behind a connection."""

    def __init__(self, hosts: Hosts, isolation: Isolation) -> None:
        self._hosts = hosts
        self._isolation = isolation

    async def run(self, uri: str, trouble: str = "") -> list[Finding]:
        """Return all findings; never raises: what cannot be found out is a finding too.

        *trouble* is why there is no connection, where that was tried before.
        """
        versions = None
        try:
            connection = self._hosts.connection(uri)
            versions = await connection.call("read versions", host_facts.read_versions)
            libvirt = Finding("libvirt", Verdict.GOOD, f"version {versions.libvirt}, {versions.hypervisor}")
        except QubesManagerError as error:
            libvirt = Finding("libvirt", Verdict.BAD, trouble or str(error), await asyncio.to_thread(_advice_for, uri))
        paths = await asyncio.to_thread(daemon_paths, uri)
        if paths is None:
            elsewhere = Finding(
                "machine", Verdict.POOR, "it is not this one", "Its own figures can only be seen there."
            )
            return [libvirt, elsewhere]
        offers_kvm = versions.offers_kvm if versions else None
        network = await self._network(uri)
        return [libvirt, network, *await asyncio.to_thread(_look_at_this_machine, uri, paths, offers_kvm)]

    async def _network(self, uri: str) -> Finding:
        """Whether domains can have networks of their own."""
        try:
            trouble = (await self._isolation.emulator(uri)).trouble
        except QubesManagerError as error:
            trouble = str(error)
        if trouble:
            advice = "New domains get no network here, unless you choose the open one or one of libvirt’s."
            return Finding("networks apart", Verdict.BAD, trouble, advice)
        return Finding("networks apart", Verdict.GOOD, "each domain has a network of its own, behind its firewall")

    async def windows_trouble(self) -> str:
        """Why applications' windows cannot be shown on this machine, and what to do; empty when they can."""
        return " ".join(filter(None, await asyncio.to_thread(needs.windows_trouble)))


def _advice_for(uri: str) -> str:
    if "/session" in uri and "socket=" not in uri and host_facts.is_root():
        return "You are root, who has no session of libvirt’s own: run this as yourself, or with -c qemu:///system."
    return "Start libvirt, or choose another connection."


def _look_at_this_machine(uri: str, paths: DaemonPaths, offers_kvm: bool | None) -> list[Finding]:
    return [
        _kvm(offers_kvm),
        _iommu(),
        _memory(),
        _disk(paths.volumes),
        *_groups(uri),
        _virtlogd(),
        _build_tools(),
        _windows(),
        *_apart(),
        _sound(uri),
        *_devices(uri),
        *_validation(),
    ]


def _kvm(offers_kvm: bool | None) -> Finding:
    opens = host_facts.can_open_kvm()
    slow = "Domains run by software emulation, several times slower."
    if offers_kvm:
        return Finding("KVM", Verdict.GOOD, "libvirt offers it; it is tried when the first domain is made")
    if opens is None:
        return Finding(
            "KVM", Verdict.POOR, "this machine has none", f"{slow} Switch virtualisation on in the firmware."
        )
    if not opens:
        return Finding("KVM", Verdict.POOR, "you may not open /dev/kvm", f"{slow} {_joining('kvm')}")
    if offers_kvm is None:
        return Finding("KVM", Verdict.GOOD, "you may use its device; what libvirt makes of it is not known")
    return Finding("KVM", Verdict.POOR, "the device is there, but libvirt does not offer it", slow)


def _iommu() -> Finding:
    groups = host_facts.iommu_groups()
    if groups:
        return Finding("IOMMU", Verdict.GOOD, f"{groups} groups of devices")
    advice = "Whole controllers cannot be handed to domains. Switch VT-d or AMD-Vi on, and boot with intel_iommu=on."
    return Finding("IOMMU", Verdict.POOR, "not in use", advice)


def _memory() -> Finding:
    total, available = host_facts.memory()
    found = f"{format_size(total)}, {format_size(available)} of it available"
    verdict = _graded(total, _MIN_MEMORY, _GOOD_MEMORY)
    return Finding("memory", verdict, found, "" if verdict is Verdict.GOOD else "Run few domains at once.")


def _disk(folder: Path) -> Finding:
    free = host_facts.free_space(folder)
    verdict = _graded(free, _MIN_DISK, _GOOD_DISK)
    advice = "" if verdict is Verdict.GOOD else "A template takes 2 to 5 GiB, and what domains keep comes on top."
    return Finding("disk", verdict, f"{format_size(free)} free for volumes", advice)


def _graded(value: int, least: int, good: int) -> Verdict:
    return Verdict.GOOD if value >= good else Verdict.POOR if value >= least else Verdict.BAD


def _groups(uri: str) -> list[Finding]:
    if "/system" not in uri:
        return []
    belongs = host_facts.in_group("libvirt")
    if belongs:
        return [Finding("group libvirt", Verdict.GOOD, "you belong to it")]
    return [Finding("group libvirt", Verdict.BAD, "you do not belong to it", _joining("libvirt"))]


def _joining(group: str) -> str:
    return f"Run “usermod -aG {group} YOU” as root, log in again."


def _virtlogd() -> Finding:
    if host_facts.has_tool("virtlogd"):
        return Finding("virtlogd", Verdict.GOOD, "installed: logs of domains cannot fill the disk")
    return Finding("virtlogd", Verdict.POOR, "not installed", "A talkative guest can fill the disk with its log.")


def _build_tools() -> Finding:
    missing = [tool for tool in _BUILD_TOOLS if not host_facts.has_tool(tool)]
    if missing:
        packages = " ".join(_BUILD_TOOLS[tool] for tool in missing)
        way = f"Run “apt-get install {packages}”" if host_facts.has_tool("apt-get") else "Install them"
        found = f"{', '.join(missing)} not installed"
        return Finding("building templates", Verdict.POOR, found, f"{way}, or import an image instead.")
    if not host_facts.has_identities():
        advice = "Run “usermod --add-subuids 100000-165535 --add-subgids 100000-165535 YOU” as root."
        return Finding("building templates", Verdict.POOR, "you have no identities for a user namespace", advice)
    return Finding("building templates", Verdict.GOOD, "all tools are there")


def _windows() -> Finding:
    trouble, advice = needs.windows_trouble()
    if trouble:
        return Finding("application windows", Verdict.POOR, trouble, advice)
    return Finding("application windows", Verdict.GOOD, "what shows them is there, and a sandbox for it can be had")


def _apart() -> list[Finding]:
    match needs.shares_screen():
        case None:
            return []
        case False:
            return [Finding("windows apart", Verdict.GOOD, "what shows a domain’s windows gets at no others")]
        case _:
            found = "X11 lets every program see the other windows, read the keyboard and type"
            advice = "A guest that took over what shows its windows could do so too: Wayland keeps them apart."
            return [Finding("windows apart", Verdict.POOR, found, advice)]


def _sound(uri: str) -> Finding:
    trouble, advice = host_facts.sound_trouble(uri)
    if trouble:
        return Finding("sound", Verdict.POOR, trouble, advice)
    return Finding("sound", Verdict.GOOD, "what domains play is heard on this machine")


def _devices(uri: str) -> list[Finding]:
    """Whether an ordinary user's domains can have devices, which root alone may open."""
    if not is_users(uri):
        return []
    missing = block_server.missing_packages()
    if missing:
        found = f"not installed: {', '.join(missing)}"
        advice = f"Drives cannot be given to domains. {host_facts.installing(' '.join(missing))}"
        return [Finding("devices", Verdict.POOR, found, advice)]
    return [Finding("devices", Verdict.GOOD, "drives are opened by udisks, which asks you, and served to domains")]


def _validation() -> list[Finding]:
    grades = {"PASS": Verdict.GOOD, "NOTE": Verdict.GOOD, "WARN": Verdict.POOR, "FAIL": Verdict.POOR}
    return [
        Finding(f"virt-host-validate: {what}", grades[word], word.lower(), advice)
        for what, word, advice in host_facts.host_validation()
        if word not in ("PASS", "NOTE")
    ]
