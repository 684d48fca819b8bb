"""Which domains can get a device, and in a few words why the others cannot."""

from collections.abc import Iterable
from dataclasses import dataclass

from qubes_manager.core.devices.assignment import Assignment, Mode, assignment_for
from qubes_manager.core.devices.block import IMAGE, OPTICAL_DRIVE, BlockDevice, cd_drives
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.interfaces import denied_by
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.hardware import Disk
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_line
from qubes_manager.models.device_tree import Entry
from qubes_manager.services.devices.kind import Holder
from qubes_manager.services.devices.places import machine_of

QCOW2, RAW = "qcow2", "raw"
# Several may have these at once.
_SHARED = (DeviceClass.MIC,)


@dataclass(frozen=True, slots=True)
class Target:
    """A domain, and why it cannot have the device; nothing where it can."""

    domain: Domain
    reason: str = ""


def is_guest(domain: Domain) -> bool:
    """Whether people would give it something at all."""
    return not (domain.is_host or domain.stale or domain.is_internal)


def targets(entry: Entry, domains: Iterable[Domain], *, moving: Holder | None = None) -> list[Target]:
    """The domains that could get a device now, those first that it is assigned to; with the reasons against others.

    *moving*: it is taken from there first.
    """
    found = [
        Target(domain, why_not(entry, domain, moving=moving))
        for domain in domains
        if is_guest(domain) and domain.state.is_active is not _waits_for_start(entry.device)
    ]
    there = {holder.domain.key for holder in entry.holders}
    found = [target for target in found if target.domain.key not in there]
    return sorted(found, key=lambda target: (not _assigned(entry, target.domain), target.domain.shown_name.casefold()))


def why_not(entry: Entry, domain: Domain, *, moving: Holder | None = None) -> str:
    """Why a domain cannot have a device now; nothing where it can."""
    device = entry.device
    if machine_of(entry.uri) != machine_of(domain.key.connection):
        return "is on another machine"
    if any(holder.domain.key == domain.key for holder in entry.holders):
        return "has it"
    if reason := never_gets(domain, device):
        return reason
    if reason := taken(entry, moving=moving):
        return reason
    if _waits_for_start(device):
        return "runs: it gets PCI devices at its start" if domain.state.is_active else ""
    return "" if domain.state.is_active else "does not run"


def refusal(entry: Entry, domain: Domain, *, moving: Holder | None = None) -> str:
    """The same in a sentence, without its full stop."""
    reason = why_not(entry, domain, moving=moving)
    if not reason:
        return ""
    if reason == taken(entry, moving=moving):
        return f"{entry.title}: {reason}"
    return f"“{one_line(domain.shown_name, 60)}” {reason}"


def sole_holder(entry: Entry, *, but: DomainKey | None = None) -> Holder | None:
    """The domain, other than *but*, that a device is to be taken from when another one is to have it."""
    holders = [holder for holder in entry.holders if holder.domain.key != but]
    if len(holders) != 1 or entry.device.klass in _SHARED or drive_of(holders[0]):
        return None
    return holders[0]


def never_gets(domain: Domain, device: Device) -> str:
    """Why a domain is never to get devices of that kind; nothing where it may."""
    pattern = denied_by(domain.config.devices_denied, device.interfaces)
    return f"never gets such devices (devices_denied has {one_line(pattern, 20)})" if pattern else ""


def taken(entry: Entry, *, moving: Holder | None = None) -> str:
    """Why nobody can have it now; nothing where it is free, or will be when *moving* has let go of it."""
    device = entry.device
    if device.in_use:
        return f"{HOST_NAME} uses it: {one_line(device.in_use, 80)}"
    if isinstance(device, BlockDevice) and not device.media:
        return "there is nothing in it"
    left = (moving.domain.key, moving.place) if moving else None
    others = [one for one in entry.everyone if (one.domain.key, one.place) != left]
    if others and device.klass not in _SHARED:
        what = "it" if entry.holders else "a part of it" if entry.holders_below else "what it belongs to"
        return f"“{one_line(others[0].domain.shown_name, 60)}” has {what}"
    return ""


def modes_for(device: Device) -> tuple[Mode, ...]:
    """How a device can be assigned."""
    match device.klass:
        case DeviceClass.PCI:
            return (Mode.REQUIRED,)
        case DeviceClass.BLOCK:
            return (Mode.AUTO, Mode.ASK, Mode.REQUIRED)
    return (Mode.AUTO, Mode.ASK)


def assigned(domain: Domain, device: Device) -> Assignment | None:
    """What a domain is to have that means this device."""
    return assignment_for(domain.config.assignments, device)


def is_disc(device: Device) -> bool:
    """Whether it goes into a CD-ROM drive of a domain."""
    return isinstance(device, BlockDevice) and device.kind in (IMAGE, OPTICAL_DRIVE) and device.media


def drive_of(holder: Holder) -> Disk | None:
    """The CD-ROM drive that a domain has a disc in; None where it has it as something else."""
    return next((drive for drive in cd_drives(holder.domain) if drive.target == holder.place), None)


def default_options(device: Device) -> dict[str, str]:
    """What is so where the user says nothing: the format of an image, by the end of its name."""
    if not isinstance(device, BlockDevice) or device.kind != IMAGE:
        return {}
    # What is in the file is never asked: a guest can write it.
    return {"format": QCOW2 if device.path.lower().endswith(".qcow2") else RAW}


def _assigned(entry: Entry, domain: Domain) -> bool:
    return assigned(domain, entry.device) is not None


def _waits_for_start(device: Device) -> bool:
    return device.klass is DeviceClass.PCI
