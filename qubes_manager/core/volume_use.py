"""Which volume is needed by whom."""

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from qubes_manager.core.domain import Domain, DomainConfig
from qubes_manager.core.volumes import OwnVolume, Role

# What libvirt puts between a throw-away disk's file and the domain's name (qemu_snapshot.c).
TRANSIENT = ".TRANSIENT-"


def image_name(source: str) -> str:
    """The name of the volume behind a disk's file, which may be a throw-away layer above it."""
    return PurePath(source).name.partition(TRANSIENT)[0]


def images_in_use(domains: Iterable[Domain]) -> set[str]:
    """The volumes that disks of *domains* are, or start from, by name."""
    return {image_name(d.source) for domain in domains for d in domain.config.disks if d.source}


def needed_by_others(own: Domain, others: Sequence[Domain]) -> set[str]:
    """The volumes of *own* that other domains' volumes stand on, record as theirs too, or use as a disk, by name."""
    rest = [d for d in others if d.key != own.key]
    recorded = [v for d in rest for v in d.config.volumes]
    mentioned = {v.backing for v in recorded} | {v.name for v in recorded} | images_in_use(rest)
    mine = {v.name for v in own.config.volumes}
    return mentioned & mine


def may_carry_others(volumes: Iterable[OwnVolume]) -> bool:
    """Whether volumes of other domains may stand on some of these: on a system, or on what is left of one."""
    return any(v.role in (Role.ROOT, Role.BASE) for v in volumes)


def are_known(domains: Iterable[Domain]) -> bool:
    """Whether the XML of all *domains* has been read: what uses a volume is only known then."""
    return all(domain.is_read for domain in domains)


def system_source(config: DomainConfig) -> str:
    """The name of the volume that the domain's system disk is, or starts from; empty without one."""
    disk = next((d for d in config.disks if d.kind == "disk"), None)
    return image_name(disk.source) if disk else ""
