"""Block devices and images: what the host offers, and the rules for handing one to a domain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qubes_manager.core.domain import HOST_NAME, Disk, Domain
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line

# Bus, and the letters its targets start with in libvirt.
BUSES = {"virtio": "vd", "usb": "sd", "scsi": "sd"}


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
        """Raise BadInput when the bus or the target name is not one that libvirt has."""
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


def holders(domains: Iterable[Domain], sources: Sequence[str]) -> list[tuple[Domain, Disk]]:
    """Return the domains that have one of the paths *sources* as a disk, with that disk."""
    wanted = set(sources)
    return [
        (domain, disk) for domain in domains for disk in domain.config.disks if disk.source and disk.source in wanted
    ]


def refuse_if_held(held: Iterable[tuple[Domain, Disk]], target: Domain, source: str, read_only: bool) -> None:
    """Raise Refused when somebody else has *source*; readers may share what all of them only read."""
    for domain, disk in held:
        if domain.key == target.key:
            raise Refused(f"“{target.name}” has {source} already, as {disk.target}")
        if not (read_only and disk.read_only):
            state = "uses" if domain.state.is_active else "has it among its disks and would use"
            raise Refused(f"“{domain.name}” {state} {source}: detach it there first")


def refuse_if_host_uses(device: BlockDevice) -> None:
    """Raise Refused when the host itself uses the device."""
    if device.in_use:
        raise Refused(f"{HOST_NAME} uses {device.path}: {device.in_use}")
