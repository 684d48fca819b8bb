"""The devices of all connections as people think of them: a row for each thing, with its parts below it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from qubes_manager.core.devices.block import IMAGE, OPTICAL_DRIVE, BlockDevice, cd_drives
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.interfaces import STORAGE, fits, kind_of
from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_line
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.devices.places import machine_of, thing_of
from qubes_manager.services.devices.watch import Identity, identity

FREE = "free"
# Characters of a cell, of which a device chooses some.
_MOST = 120

# A device by its machine, class, location and ident: tells it from all others, and from another one in its place.
Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one connection's host has, which of it is *new*, and what kept it from being listed, if anything."""

    uri: str
    offered: tuple[Offered, ...] = ()
    new: frozenset[Identity] = frozenset()
    trouble: str = ""

    @property
    def machine(self) -> str:
        """The machine whose devices these are."""
        return machine_of(self.uri)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: a device, with its parts. *as_whole* is a stick as the USB device that it is, below its drive.

    *beside* are those who have what this is in, or the drive in this: it cannot be given away beside that.
    """

    uri: str
    offered: Offered
    is_new: bool = False
    as_whole: bool = False
    parts: tuple["Entry", ...] = ()
    beside: tuple[Holder, ...] = ()

    @property
    def device(self) -> Device:
        """The device."""
        return self.offered.device

    @property
    def holders(self) -> tuple[Holder, ...]:
        """The domains that have it."""
        return self.offered.holders

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return (machine_of(self.uri), *identity(self.device))

    @property
    def title(self) -> str:
        """What it is called: in quotation marks what is its own word."""
        device = self.device
        if self.as_whole:
            return "The whole USB device"
        name = f"“{PurePath(device.port).name}”" if is_image(device) else device.name
        return one_line(name[:1].upper() + name[1:], _MOST)

    @property
    def called(self) -> str:
        """What it is called within a sentence."""
        if is_image(self.device):
            return self.title
        name = one_line(self.device.name, _MOST)
        return f"the whole USB device {name}" if self.as_whole else name

    @property
    def what(self) -> str:
        """What it is, in a few words: size, kind, file system."""
        device = self.device
        if is_image(device):
            return "image file"
        notes = getattr(device, "notes", None)
        if notes is None:
            notes = (device.description.removeprefix(device.name).strip(" ()"),)
        return one_line(", ".join(notes), _MOST)

    @property
    def where(self) -> str:
        """Who has it now: domains, this machine, or nobody."""
        found = [_holding(holder, self.device) for holder in self.holders]
        if in_use := self.device.in_use:
            found.insert(0, f"this machine: {in_use}")
        if not found:
            found = [f"{holder.domain.shown_name}, a part of it" for holder in self.holders_below][:1]
        if not found:
            words = "its drive" if self.as_whole else "with the whole drive"
            found = [f"{holder.domain.shown_name}, {words}" for holder in self.beside][:1]
        return one_line("; ".join(found), 2 * _MOST) or FREE

    @property
    def holders_below(self) -> list[Holder]:
        """The domains that have a part of it."""
        return [holder for part in self.parts for holder in (*part.holders, *part.holders_below)]

    @property
    def summary(self) -> str:
        """One line for a menu."""
        return f"{self.title} ({self.what})" if self.what else self.title

    @property
    def everyone(self) -> tuple[Holder, ...]:
        """All that have it, a part of it or what it belongs to; those that have itself come first."""
        return (*self.holders, *self.holders_below, *self.beside)

    def walk(self) -> Iterator["Entry"]:
        """The entry and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class Section:
    """A kind of devices in plain words, with what there is of it."""

    title: str
    icon: str
    entries: tuple[Entry, ...]


# In their order, with their pictures.
_SECTIONS = {
    "Drives": "device-drive",
    "Discs": "device-disc",
    "Image files": "device-image",
    "USB devices": "device-usb",
    "PCI devices": "device-controller",
    "Microphone": "device-microphone",
}


def is_image(device: Device) -> bool:
    """Whether it is an image file."""
    return isinstance(device, BlockDevice) and device.kind == IMAGE


def make_sections(listings: Iterable[Listing]) -> list[Section]:
    """The sections that have something, each machine's by itself; this machine's come first."""
    machines: dict[str, list[Listing]] = {}
    for listing in listings:
        machines.setdefault(listing.machine, []).append(listing)
    found = []
    for machine in sorted(machines):
        rows = _nested(_merged(machines[machine]))
        for title, icon in _SECTIONS.items():
            entries = tuple(row for row in rows if _section_of(row.device) == title)
            where = f" of {one_line(machine, _MOST)}" if machine else ""
            found += [Section(f"{title}{where}", icon, entries)] if entries else []
    return found


def inserted_discs(domains: Iterable[Domain]) -> list[Offered]:
    """The images that are in domains' CD-ROM drives, each with who has it; the domains are those of one connection."""
    found: dict[str, list[Holder]] = {}
    for domain in domains:
        for drive in cd_drives(domain):
            if drive.source.startswith("/") and not drive.source.startswith("/dev/"):
                found.setdefault(drive.source, []).append(Holder(domain, drive.target, later=True))
    return [Offered(BlockDevice(path, kind=IMAGE), tuple(holders)) for path, holders in sorted(found.items())]


def _holding(holder: Holder, device: Device) -> str:
    name = holder.domain.shown_name
    if not holder.domain.state.is_active:
        return f"{name}, from its next start on"
    return f"{name} ({one_line(holder.place, 20)})" if device.klass is DeviceClass.BLOCK else name


def _section_of(device: Device) -> str:
    if isinstance(device, BlockDevice):
        return {OPTICAL_DRIVE: "Discs", IMAGE: "Image files"}.get(device.kind, "Drives")
    if device.klass is DeviceClass.USB:
        return "Drives" if kind_of(device.interfaces).pattern == STORAGE else "USB devices"
    return "PCI devices" if device.klass is DeviceClass.PCI else "Microphone"


def _merged(listings: Sequence[Listing]) -> list[Entry]:
    """The devices of one machine, each once, with all the domains of its connections that have it."""
    found: dict[Identity, Entry] = {}
    for listing in listings:
        for offered in listing.offered:
            name = identity(offered.device)
            is_new = name in listing.new
            if known := found.get(name):
                there = {(holder.domain.key, holder.place) for holder in known.holders}
                more = [h for h in offered.holders if (h.domain.key, h.place) not in there]
                both = replace(known.offered, holders=(*known.holders, *more))
                found[name] = replace(known, offered=both, is_new=known.is_new or is_new)
            else:
                found[name] = Entry(listing.uri, offered, is_new)
    return list(found.values())


def _nested(entries: Sequence[Entry]) -> list[Entry]:
    """Each thing with its parts: partitions below their drive, drives of one stick together with the stick."""
    whole = {entry.device.port for entry in entries if not entry.device.parent}
    parts: dict[str, list[Entry]] = {}
    tops: list[Entry] = []
    for entry in entries:
        if entry.device.parent in whole and entry.device.klass is DeviceClass.BLOCK:
            parts.setdefault(entry.device.parent, []).append(entry)
        else:
            tops.append(entry)
    tops = [_with_parts(top, parts.get(top.device.port, ())) if _is_block(top) else top for top in tops]
    return [_marked(row) for row in _with_usb(tops)]


def _with_parts(top: Entry, parts: Iterable[Entry]) -> Entry:
    return replace(top, parts=tuple(replace(part, beside=top.holders) for part in parts))


def _marked(row: Entry) -> Entry:
    """A thing that is new where something of it is; its parts need not say so too."""
    return replace(row, is_new=any(one.is_new for one in row.walk()), parts=tuple(map(_unmarked, row.parts)))


def _unmarked(part: Entry) -> Entry:
    return replace(part, is_new=False, parts=tuple(map(_unmarked, part.parts)))


def _is_block(entry: Entry) -> bool:
    return entry.device.klass is DeviceClass.BLOCK


def _with_usb(tops: Sequence[Entry]) -> list[Entry]:
    inside: dict[Key, list[Entry]] = {}
    taken: set[Key] = set()
    for stick in tops:
        if stick.device.klass is DeviceClass.USB:
            inside[stick.key] = [top for top in tops if _is_block(top) and _is_in(top.device, stick.device)]
            taken |= {drive.key for drive in inside[stick.key]}
    rows = []
    for top in tops:
        if top.key in taken:
            continue
        drives = inside.get(top.key, [])
        if len(drives) == 1 and all(fits(STORAGE, code) for code in top.device.interfaces):
            # Nothing but a drive: that is what people see in it, and what they mostly want to give.
            [drive] = drives
            whole = replace(top, as_whole=True, beside=(*drive.holders, *drive.holders_below))
            rows.append(replace(drive, parts=(*drive.parts, whole), is_new=drive.is_new or top.is_new))
        else:
            rows.append(replace(top, parts=(*top.parts, *drives)))
    return rows


def _is_in(drive: Device, stick: Device) -> bool:
    """Whether a drive is in a USB device."""
    return thing_of(drive) == stick.location
