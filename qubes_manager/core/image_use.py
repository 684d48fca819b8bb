"""Which image is used by whom, and the one rule that says which of a domain's volumes may be deleted."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import Refused, UnknownDisk
from qubes_manager.core.hardware import Disk
from qubes_manager.core.volumes import OwnVolume, Role, chain

# The places where a domain has what it boots.
_BOOT = (Role.KERNEL.value, Role.INITRD.value)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file or device of the host. *names* are all that it is known by: its paths, device and inode, its volume."""

    path: str
    names: frozenset[str]

    @property
    def identity(self) -> str:
        """The name to lock it by: whoever finds it by another path comes to the same one, where this machine has it."""
        return min((n for n in self.names if n.startswith(("inode:", "device:"))), default=min(self.names))

    def is_in(self, files: Iterable["ImageFile"]) -> bool:
        """Whether it is one of *files*, under whatever name."""
        return any(not self.names.isdisjoint(file.names) for file in files)


@dataclass(frozen=True, slots=True)
class ImageUse:
    """What a domain has as *place* (``vda``, ``kernel``): the image itself first, then those that it stands on.

    *writes* says whether the domain writes to the first; nobody writes to the others.
    *renewed* is what the domain's next start looks up anew: the system that it has from its template.
    """

    key: DomainKey
    domain: str
    place: str
    files: tuple[ImageFile, ...]
    active: bool = False
    writes: bool = True
    renewed: bool = False

    @property
    def words(self) -> str:
        """Who has it as what, for people."""
        return f"“{self.domain}” {'runs with' if self.active else 'has'} it, or what stands on it, as {self.place}"


def clashing(uses: Iterable[ImageUse], files: Sequence[ImageFile], *, writes: bool) -> list[ImageUse]:
    """Of *uses*, those that cannot go with another disk of those *files*, topmost first, which it *writes* to or not.

    Readers share an image; who writes to one does it alone, also against those who only stand on it.
    """
    if not files:
        return []
    return [
        use
        for use in uses
        if (writes and files[0].is_in(use.files)) or (use.writes and use.files and use.files[0].is_in(files))
    ]


def used(volumes: Iterable[OwnVolume], files: Mapping[str, ImageFile], uses: Iterable[ImageUse]) -> dict[str, ImageUse]:
    """Those of *volumes* that some of *uses* are or stand on, by name, with one of those who do.

    *files* are the images of the volumes by name.
    """
    everyone = list(uses)
    found = {}
    for volume in volumes:
        file = files.get(volume.name)
        if file and (user := next((use for use in everyone if file.is_in(use.files)), None)):
            found[volume.name] = user
    return found


def recorded_elsewhere(own: Domain, others: Iterable[Domain]) -> set[str]:
    """The volumes of *own* that other domains' volumes stand on, or that they record as theirs too, by name."""
    recorded = [v for d in others if d.key != own.key for v in d.config.volumes]
    mentioned = {v.backing for v in recorded} | {v.name for v in recorded}
    return mentioned & {v.name for v in own.config.volumes}


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """What becomes of a domain's volumes when it goes: those that are deleted, and those that others get as bases."""

    deleted: tuple[OwnVolume, ...]
    heirs: Mapping[DomainKey, tuple[OwnVolume, ...]]


def removal_plan(
    own: Domain, others: Sequence[Domain], files: Mapping[str, ImageFile], uses: Iterable[ImageUse]
) -> RemovalPlan:
    """Say what the removal of *own* does to its volumes. Raises Refused, naming who uses what would be deleted.

    What volumes of other domains stand on is handed over to one of them, and so is the kernel that one boots. *files*
    are the images of the volumes by name; *uses* is all that the domains of the connection have.
    """
    rest = [use for use in uses if use.key != own.key]
    heirs: dict[DomainKey, tuple[OwnVolume, ...]] = {}
    taken: set[str] = set()
    for other in others:
        if other.key != own.key:
            recorded = {v.name for v in other.config.volumes}
            below = dict.fromkeys(
                v for record in other.config.volumes for v in chain(record.backing, own.config.volumes)
            )
            given = [_as_base(v) for v in below if v.name not in taken | recorded]
            left = [v for v in own.config.volumes if v.name not in taken | recorded]
            given += _boot_files(other, left, files, rest)
            # What is recorded twice stays with the other, as it has it.
            taken |= recorded.union(v.name for v in given)
            if given:
                heirs[other.key] = tuple(given)
    deleted = tuple(v for v in own.config.volumes if v.name not in taken)
    for name, user in used(deleted, files, rest).items():
        raise Refused(f"“{own.name}” cannot be removed: {name} is needed: {user.words}; detach it there first")
    return RemovalPlan(deleted, heirs)


def _as_base(volume: OwnVolume) -> OwnVolume:
    return OwnVolume(Role.BASE, volume.pool, volume.name, backing=volume.backing)


def _boot_files(
    other: Domain, volumes: Iterable[OwnVolume], files: Mapping[str, ImageFile], uses: Iterable[ImageUse]
) -> list[OwnVolume]:
    """Those of *volumes* that *other*, a domain of ours which owns its system, boots and has none of its own of."""
    booted = [use for use in uses if use.key == other.key and use.place in _BOOT and not use.renewed]
    own = {v.role for v in other.config.volumes}
    mine = [v for v in volumes if v.role.value in _BOOT and v.role not in own]
    return [v for v in mine if other.config.volumes and v.name in used([v], files, booted)]


def refuse_other_disk(
    domain: str, disk: Disk, volumes: Sequence[OwnVolume], files: Mapping[str, ImageFile], found: Sequence[ImageFile]
) -> None:
    """Raise UnknownDisk when what *domain* has as *disk* is none of its *volumes*; says what to do.

    *files* are the images of the volumes by name, as far as they are there; *found* those of the disk, topmost first.
    """
    there = [v for v in volumes if v.name in files]
    if not there or any(files[v.name].is_in(found[:1]) for v in there):
        return
    what = f"“{domain}”: its disk {disk.target} is {found[0].path}"
    below = [v for v in there if files[v.name].is_in(found)]
    if not below:
        names = " or ".join(v.name for v in there)
        raise UnknownDisk(
            f"{what}, and not {names}, which this program made for it: "
            f"give it that one back (virsh edit {shlex.quote(domain)}), then try again"
        )
    topmost = max(below, key=lambda v: v.revision)
    what += f", a snapshot made by another program above {topmost.name}"
    if disk.transient and topmost.revision:
        # A merge would write into what domains are running from.
        raise UnknownDisk(
            f"{what}: go back to revision {topmost.revision} (“Revisions…”, or qvm-volume revert {domain}:root "
            f"{topmost.revision}), which leaves the snapshot's file where it is, then try again"
        )
    # Without its base named, blockcommit would merge into the lowest of a template's revisions.
    name, base = shlex.quote(domain), shlex.quote(files[topmost.name].path)
    raise UnknownDisk(
        f"{what}: merge it (virsh start {name}; virsh blockcommit {name} {disk.target} --base {base} --pivot; "
        f"virsh shutdown {name}), then try again"
    )
