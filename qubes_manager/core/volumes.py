"""The volumes that this program makes for domains, and the rules of a template's revisions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

DEFAULT_KEEP = 2
MAX_KEEP = 100
FORMATS = {"qcow2": "qcow2"}


class Role(Enum):
    """What a volume is to its domain. A MEDIUM is the disc that its system is installed from.

    A BASE is only there because other volumes stand on it. A FROZEN one is a copy of the private volume, which nobody
    writes to: disposables start from it.
    """

    ROOT = "root"
    PRIVATE = "private"
    KERNEL = "kernel"
    INITRD = "initrd"
    SEED = "seed"
    MEDIUM = "medium"
    BASE = "base"
    FROZEN = "frozen"


_OUR_NAME = re.compile(
    rf".+\.[0-9a-f]{{8}}\.({'|'.join(role.value for role in Role)})(@\d+)?(\.[\w-]+)+", re.ASCII | re.DOTALL
)
BOOT_ROLES = (Role.KERNEL, Role.INITRD)
DISC_ROLES = (Role.SEED, Role.MEDIUM)


@dataclass(frozen=True, slots=True)
class OwnVolume:
    """A volume that this program made for a domain and removes with it.

    *revision* counts a template's roots, and the frozen copies of a private volume. *backing* names the volume below
    it. *digest* is the SHA-256 of the bytes as they were stored, for a volume that nobody writes to; *verified* the
    checksum that the user had for its source (``sha256:…``). *unfinished* stands from before the volume is made until
    it is whole; *maker* is who makes it. *state* says of what a frozen one is a copy: the volume, and its last write.
    """

    role: Role
    pool: str
    name: str
    revision: int = 0
    backing: str = ""
    digest: str = ""
    verified: str = ""
    unfinished: bool = False
    maker: str = ""
    state: str = ""

    @property
    def format(self) -> str:
        """The image format."""
        return volume_format(self.name)


def volume_name(domain: str, uuid: str, role: Role, ending: str, revision: int = 0) -> str:
    """Return the name of a new volume: readable, and free whatever domains were called before.

    *ending* is ``qcow2`` for an image of that format; everything else is raw.
    """
    number = f"@{revision}" if revision else ""
    return f"{domain}.{uuid[:8]}.{role.value}{number}.{ending}"


def is_our_name(name: str) -> bool:
    """Whether ``volume_name`` may have named it. Others may write records too."""
    return _OUR_NAME.fullmatch(name) is not None


def volume_format(name: str) -> str:
    """The image format of a volume of ours, which its name ends with: what its bytes say is of no matter."""
    return FORMATS.get(name.rpartition(".")[2], "raw")


def revisions(volumes: Iterable[OwnVolume]) -> list[OwnVolume]:
    """The whole roots of a template, oldest first."""
    return sorted((v for v in volumes if v.role is Role.ROOT and not v.unfinished), key=lambda v: v.revision)


def frozen_copies(volumes: Iterable[OwnVolume]) -> list[OwnVolume]:
    """The whole copies of a private volume that disposables start from, or started from, oldest first."""
    return sorted((v for v in volumes if v.role is Role.FROZEN and not v.unfinished), key=lambda v: v.revision)


def chain(name: str, volumes: Iterable[OwnVolume]) -> list[OwnVolume]:
    """The volume *name* and those that it stands on, topmost first, as far as *volumes* knows them."""
    known = {v.name: v for v in volumes}
    found: list[OwnVolume] = []
    while name in known and known[name] not in found:
        found.append(known[name])
        name = known[name].backing
    return found


def past(own: Iterable[OwnVolume], current: int, trial: int, keep: int) -> list[OwnVolume]:
    """Of a template's whole roots, those that are none of the newest *keep*, nor current, nor a trial."""
    roots = revisions(own)
    kept = {v.revision for v in roots[-max(keep, 1) :]} | {current, trial}
    return [v for v in roots if v.revision not in kept]


def superfluous(own: Iterable[OwnVolume], current: int, trial: int, keep: int, used: Iterable[str]) -> list[OwnVolume]:
    """Of a template's volumes, those that can be deleted, in the order in which they can.

    All but past roots stay, and so does whatever is *used* (by name) or stands below something that stays.
    """
    volumes = list(own)
    old = past(volumes, current, trial, keep)
    stays = {v.name for v in revisions(volumes) if v not in old} | set(used)
    stays |= {v.name for v in volumes if v.role not in (Role.ROOT, Role.BASE) or v.unfinished}
    needed = {below.name for name in stays for below in chain(name, volumes)}
    gone = [v for v in volumes if v.name not in needed]
    return sorted(gone, key=lambda v: (-v.revision, v.name))
