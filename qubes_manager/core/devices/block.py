"""Block devices and images: what the host offers, and the rules for handing one to a domain."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qubes_manager.core.devices.device import own_words
from qubes_manager.core.devices.identity import DeviceClass, safe_word
from qubes_manager.core.devices.interfaces import ANY_BLOCK, STORAGE
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.hardware import Disk
from qubes_manager.core.image_use import ImageFile, ImageUse, clashing
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line
from qubes_manager.core.values import parse_bool

# Bus, and the letters its targets start with in libvirt.
BUSES = {"virtio": "vd", "usb": "sd", "scsi": "sd"}
# The formats of images that may be attached. What is in the file is never asked: a guest can write it.
IMAGE_FORMATS = ("raw", "qcow2")


# What each bus gives to the guest whole.
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,19}")
# The kind of a device that takes CDs and DVDs.
OPTICAL_DRIVE = "optical drive"
PARTITION = "partition"
IMAGE = "image"
# What a file system is called where it is a container of another one.
_CONTAINERS = {"crypto_LUKS": "encrypted (LUKS)", "BitLocker": "encrypted (BitLocker)", "LVM2_member": "LVM"}
_USB_BUS = "usb"


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A block device of the host. *size* is in bytes; *in_use* says what the host does with it, if anything.

    *vendor*, *model*, *serial*, *filesystem* and *label* are its own words. *whole* is the port of the drive that a
    partition is of. *location* is where it is, by a name that stays (``usb-2-1``); *slot* the number of a reader's slot
    that is not its first.
    """

    path: str
    kind: str = "disk"
    bus: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    size: int = 0
    removable: bool = False
    read_only: bool = False
    media: bool = True
    in_use: str = ""
    whole: str = ""
    partition: int = 0
    slot: int = 0
    place: str = ""
    filesystem: str = ""
    label: str = ""

    @property
    def klass(self) -> DeviceClass:
        """Block, as all of these."""
        return DeviceClass.BLOCK

    @property
    def port(self) -> str:
        """The short name by which commands call it: ``sda``; of an image its path."""
        return self.path if self.kind == IMAGE else self.path.rsplit("/", 1)[-1]

    @property
    def location(self) -> str:
        """Where it is, by a name that stays when it is taken out and put in again."""
        return self.place or self.port

    @property
    def parent(self) -> str:
        """The port of the drive that a partition is of."""
        return self.whole

    @property
    def ident(self) -> str:
        """What it says that it is."""
        words = filter(None, map(safe_word, (self.vendor, self.model, self.serial)))
        found = "_".join(words) if self.model or self.serial else ""
        parts = [found, f"slot{self.slot}" if self.slot else "", str(self.partition or "")]
        return ":".join(filter(None, parts)) if found else ""

    @property
    def interfaces(self) -> tuple[str, ...]:
        """A block device's code; one that came by USB is a USB drive too."""
        return (ANY_BLOCK, STORAGE) if self.bus == _USB_BUS else (ANY_BLOCK,)

    @property
    def icon(self) -> str:
        """The picture of its kind."""
        return _ICONS.get(self.kind, "device-drive")

    @property
    def name(self) -> str:
        """What people call it: in quotation marks what it calls itself."""
        if self.kind == PARTITION:
            words = (PARTITION, str(self.partition or ""), own_words(self.label, 40))
            return " ".join(filter(None, words))
        return own_words(f"{self.vendor} {self.model}".strip(), 60) or self.kind

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to say of it, in words: size, kind, what is on it."""
        size = format_size(self.size) if self.size else "" if self.media else "no medium"
        kind = "USB drive" if self.bus == _USB_BUS and self.kind == "disk" else self.kind
        is_part = self.kind == PARTITION
        named = is_part or kind in (IMAGE, self.name)
        holds = _CONTAINERS.get(self.filesystem) or one_line(self.filesystem, 20)
        own = "" if is_part else own_words(self.label, 40)
        found = (
            size,
            "" if named else kind,
            f"slot {self.slot + 1}" if self.slot else "",
            f"{holds} {own}" if own and holds else holds,
            "removable" if self.removable and not is_part else "",
            "read-only" if self.read_only and self.kind != OPTICAL_DRIVE else "",
        )
        return tuple(filter(None, found))

    @property
    def description(self) -> str:
        """One line for people; a device chooses its own words, so they are cleaned, and stand in quotation marks."""
        return f"{self.name} ({', '.join(self.notes)})" if self.notes else self.name


_ICONS = {OPTICAL_DRIVE: "device-disc", IMAGE: "device-image", PARTITION: "device-partition"}


@dataclass(frozen=True, slots=True)
class DiskRequest:
    """What to attach: a block device or an image file, by path, and how."""

    source: str
    is_device: bool
    image_format: str = "raw"
    bus: str = "usb"
    read_only: bool = False
    target: str = ""
    serial: str = ""
    persistent: bool = False
    # Whether the domain gives commands to the drive itself, as burning a disc needs.
    is_lun: bool = False
    # Where the device was when it was chosen, and what it said that it is: another one may be in its place by now.
    chosen: tuple[str, str] | None = None
    # Where a server of ours has it, for a QEMU that may not open it.
    socket: str = ""

    def check(self) -> None:
        """Raise BadInput when the bus or the target name is not one that libvirt has, or the format none of ours."""
        if self.image_format not in IMAGE_FORMATS[: 1 if self.is_device else None]:
            allowed = "a device is raw" if self.is_device else f"use one of {', '.join(IMAGE_FORMATS)}"
            raise BadInput("format", self.image_format, allowed)
        if self.is_lun and not (self.is_device and self.bus == "scsi"):
            raise BadInput("devtype", LUN, "a drive that takes commands itself is a device, on the bus scsi")
        if self.serial and not _SERIAL.fullmatch(self.serial):
            raise BadInput("serial", self.serial[:80], "use letters, digits, “-”, “_” and “.”, at most 20 characters")
        if self.bus not in BUSES:
            raise BadInput("bus", self.bus, f"use one of {', '.join(BUSES)}")
        if self.target and not (self.target.isalnum() and self.target.startswith(BUSES[self.bus])):
            raise BadInput(
                "frontend device", self.target, f"on {self.bus} it is {BUSES[self.bus]}a, {BUSES[self.bus]}b, …"
            )


def identity_of(device: BlockDevice) -> tuple[str, str]:
    """What tells a device from another one in its place, as far as they say it."""
    return device.location, device.ident


# The options that commands have, by the fields of a request.
OPTIONS = {"bus": "bus", "frontend-dev": "target", "serial": "serial", "format": "image_format"}
READ_ONLY, DEVTYPE = "read-only", "devtype"
DISK, LUN = "disk", "lun"


def request_of(device: BlockDevice, options: Mapping[str, str], *, persistent: bool = False) -> DiskRequest:
    """Return the request for *device* with options by the names that commands have; raises BadInput."""
    fields = {}
    for name, value in options.items():
        if name in OPTIONS:
            fields[OPTIONS[name]] = value
        elif name == DEVTYPE and value not in (DISK, LUN):
            raise BadInput(DEVTYPE, value, f"use {DISK} or {LUN}; a disc is put into a CD-ROM drive by “insert”")
        elif name not in (READ_ONLY, DEVTYPE):
            allowed = ", ".join((*OPTIONS, READ_ONLY, DEVTYPE))
            raise BadInput("option", f"{name}={value}", f"use NAME=VALUE with one of {allowed}")
    read_only = parse_bool(options[READ_ONLY], READ_ONLY) if READ_ONLY in options else False
    is_lun = options.get(DEVTYPE) == LUN
    if is_lun:
        fields.setdefault("bus", "scsi")
    request = DiskRequest(
        device.path,
        is_device=device.kind != IMAGE,
        # A drive that writes discs is one that is read from, to all others.
        read_only=read_only or (device.read_only and not is_lun),
        persistent=persistent,
        is_lun=is_lun,
        chosen=identity_of(device) if device.kind != IMAGE else None,
        **fields,
    )
    request.check()
    return request


def free_target(taken: Iterable[str], bus: str) -> str:
    """Return the first free target name on *bus*; raises Refused when all 26 are taken."""
    names = set(taken)
    for letter in "abcdefghijklmnopqrstuvwxyz":
        target = BUSES[bus] + letter
        if target not in names:
            return target
    raise Refused(f"the domain has no free place on its {bus} bus")


def refuse_if_held(
    uses: Iterable[ImageUse], files: Sequence[ImageFile], target: Domain, source: str, *, writes: bool
) -> None:
    """Raise Refused when some of *uses* do not go with a disk of *files*, topmost first, which *target* is to get."""
    others = list(uses)
    for use in others:
        if use.key == target.key and use.files and use.files[0].is_in(files[:1]):
            raise Refused(f"“{target.name}” has {source} already, as {use.place}")
    for use in clashing(others, files, writes=writes):
        state = "uses it" if use.active else "has it among its disks and would use it"
        if use.files[0].is_in(files[:1]):
            raise Refused(f"{source}: “{use.domain}” {state} as {use.place}: detach it there first")
        above, below = (use.files[0].path, source) if files[0].is_in(use.files) else (source, use.files[0].path)
        raise Refused(
            f"{source}: “{use.domain}” {'runs with' if use.active else 'has'} {use.files[0].path} as {use.place}, and "
            f"{above} stands on {below}: detach it there first, or copy it"
        )


def refuse_if_host_uses(device: BlockDevice) -> None:
    """Raise Refused when the host itself uses the device."""
    if device.in_use:
        raise Refused(f"{HOST_NAME} uses {device.path}: {device.in_use}")


def cd_drives(domain: Domain) -> list[Disk]:
    """The CD-ROM drives of a domain, with the disc in each."""
    return [disk for disk in domain.config.disks if disk.kind == "cdrom"]


def cd_drive(domain: Domain, target: str = "") -> Disk:
    """Return the drive *target*, or the only one there is; raises NotFound, and Refused where it is not clear which."""
    drives = cd_drives(domain)
    if not drives:
        raise NotFound(f"“{domain.name}” has no CD-ROM drive")
    if not target and len(drives) > 1:
        raise Refused(
            f"“{domain.name}” has several CD-ROM drives: name one of {_named(drives)} (qvm-block insert --drive)"
        )
    found = next((drive for drive in drives if target in ("", drive.target)), None)
    if found is None:
        raise NotFound(f"“{domain.name}” has no CD-ROM drive {target}; it has {_named(drives)}")
    return found


def _named(drives: Iterable[Disk]) -> str:
    return ", ".join(f"{drive.target} ({drive.source or 'empty'})" for drive in drives)
