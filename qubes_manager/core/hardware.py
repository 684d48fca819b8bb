"""What a domain's XML says of its hardware: disks with the images that they are made of, sound."""

from dataclasses import dataclass
from pathlib import PurePath

# The folder, beside that of our volumes, in which devices of this machine are served to who may not open them.
SERVED_FOLDER, SERVED_SUFFIX = "devices", ".socket"


@dataclass(frozen=True, slots=True)
class Layer:
    """An image by the name that a domain's XML or another image has for it: a path, or a volume's name in *pool*."""

    source: str
    pool: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of a domain: target name, bus, kind (disk or cdrom), where its bytes are, and how it is attached.

    *backing* are the images that the XML names below it, or beside it while a block job copies. *backing_ends* says
    whether they are all: else the images themselves say what they stand on.
    """

    target: str
    bus: str = ""
    kind: str = "disk"
    source: str = ""
    pool: str = ""
    read_only: bool = False
    transient: bool = False
    serial: str = ""
    encrypted: bool = False
    format: str = ""
    backing: tuple[Layer, ...] = ()
    backing_ends: bool = False
    # Where a server of ours has the bytes, which are the host's device *source*.
    socket: str = ""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The disk's own image and what the XML names below it, topmost first; none for an empty drive."""
        return (Layer(self.source, self.pool, self.format), *self.backing) if self.source else ()


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """What a domain's sound device plays to: libvirt's name for the backend, and the address of a sound server."""

    backend: str
    server: str = ""


def is_served(socket: str) -> bool:
    """Whether a socket is one where a server of ours has a device."""
    path = PurePath(socket)
    return path.suffix == SERVED_SUFFIX and path.parent.parent.name == SERVED_FOLDER
