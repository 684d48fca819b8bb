"""Block devices and images: what the host offers, and the rules for handing one to a domain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.hardware import Disk
from qubes_manager.core.image_use import ImageFile, ImageUse, clashing
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line

# Bus, and the letters its targets start with in libvirt.
BUSES = {"virtio": "vd", "usb": "sd", "scsi": "sd"}
# The formats of images that may be attached. What is in the file is never asked: a guest can write it.
IMAGE_FORMATS = ("raw", "qcow2")


# The kind of a device that takes CDs and DVDs.
OPTICAL_DRIVE = "optical drive"


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A block device of the host. *size* is in bytes; *in_use* says what the host does with it, if anything."""

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

    @property
    def ident(self) -> str:
        """The short name by which commands call it: ``sda``."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def description(self) -> str:
        """One line for people; a device chooses its own vendor and model, so they are cleaned."""
        name = one_line(f"{self.vendor} {self.model}".strip(), 60) or self.kind
        notes = [format_size(self.size)] if self.size else [] if self.media else ["no medium"]
        notes += ["removable"] if self.removable else []
        notes += ["read-only"] if self.read_only else []
        return f"{name} ({', '.join(notes)})" if notes else name


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

    def check(self) -> None:
        """Raise BadInput when the bus or the target name is not one that libvirt has, or the format none of ours."""
        if self.image_format not in IMAGE_FORMATS[: 1 if self.is_device else None]:
            allowed = "a device is raw" if self.is_device else f"use one of {', '.join(IMAGE_FORMATS)}"
            raise BadInput("format", self.image_format, allowed)
        if self.bus not in BUSES:
            raise BadInput("bus", self.bus, f"use one of {', '.join(BUSES)}")
        if self.target and not (self.target.isalnum() and self.target.startswith(BUSES[self.bus])):
            raise BadInput(
                "frontend device", self.target, f"on {self.bus} it is {BUSES[self.bus]}a, {BUSES[self.bus]}b, …"
            )


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
