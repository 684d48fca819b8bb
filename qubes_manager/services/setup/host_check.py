"""Whether a machine can do what this program wants of it, each with a plain verdict and what to do."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qubes_manager.backend.host import host_facts
from qubes_manager.backend.host.daemon_paths import DaemonPaths, daemon_paths
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.sizes import format_size
from qubes_manager.services.hosts.hosts import Hosts

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

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def run(self, uri: str) -> list[Finding]:
        """Return all findings; never raises: what cannot be found out is a finding too."""
        findings = []
        try:
            connection = self._hosts.connection(uri)
            versions = await connection.call("read versions", host_facts.read_versions)
        except QubesManagerError as error:
            return [Finding("libvirt", Verdict.BAD, str(error), "Start libvirt, or choose another connection.")]
        findings.append(Finding("libvirt", Verdict.GOOD, f"version {versions.libvirt}, {versions.hypervisor}"))
        paths = await asyncio.to_thread(daemon_paths, uri)
        if paths is None:
            findings.append(
                Finding("machine", Verdict.POOR, "it is not this one", "Its own figures can only be seen there.")
            )
            return findings
        return findings + await asyncio.to_thread(_look_at_this_machine, uri, paths, versions.offers_kvm)


def _look_at_this_machine(uri: str, paths: DaemonPaths, offers_kvm: bool) -> list[Finding]:
    return [
        _kvm(offers_kvm),
        _iommu(),
        _memory(),
        _disk(paths.volumes),
        *_groups(uri),
        _virtlogd(),
        _build_tools(),
        _windows(),
        *_validation(),
    ]


def _kvm(offers_kvm: bool) -> Finding:
    opens = host_facts.can_open_kvm()
    slow = "Domains run by software emulation, several times slower."
    if offers_kvm:
        return Finding("KVM", Verdict.GOOD, "libvirt offers it; it is tried when the first domain is made")
    if opens is None:
        return Finding(
            "KVM", Verdict.POOR, "this machine has none", f"{slow} Switch virtualisation on in the firmware."
        )
    if not opens:
        return Finding("KVM", Verdict.POOR, "you may not open /dev/kvm", f"{slow} Run “adduser YOU kvm”, log in again.")
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
    return [
        Finding("group libvirt", Verdict.BAD, "you do not belong to it", "Run “adduser YOU libvirt”, log in again.")
    ]


def _virtlogd() -> Finding:
    if host_facts.has_tool("virtlogd"):
        return Finding("virtlogd", Verdict.GOOD, "installed: logs of domains cannot fill the disk")
    return Finding("virtlogd", Verdict.POOR, "not installed", "A talkative guest can fill the disk with its log.")


def _build_tools() -> Finding:
    missing = [package for tool, package in _BUILD_TOOLS.items() if not host_facts.has_tool(tool)]
    if missing:
        advice = f"Run “apt-get install {' '.join(missing)}”, or import an image instead."
        return Finding("building templates", Verdict.POOR, f"{', '.join(missing)} not installed", advice)
    if not host_facts.has_identities():
        advice = "Run “usermod --add-subuids 100000-165535 --add-subgids 100000-165535 YOU” as root."
        return Finding("building templates", Verdict.POOR, "you have no identities for a user namespace", advice)
    return Finding("building templates", Verdict.GOOD, "all tools are there")


def _windows() -> Finding:
    if host_facts.has_tool("xpra"):
        return Finding("application windows", Verdict.GOOD, "xpra is installed")
    return Finding("application windows", Verdict.POOR, "xpra is not installed", "Run “apt-get install xpra”.")


def _validation() -> list[Finding]:
    grades = {"PASS": Verdict.GOOD, "NOTE": Verdict.GOOD, "WARN": Verdict.POOR, "FAIL": Verdict.POOR}
    return [
        Finding(f"virt-host-validate: {what}", grades[word], word.lower(), advice)
        for what, word, advice in host_facts.host_validation()
        if word not in ("PASS", "NOTE")
    ]
