"""Which volume a disk is, by name; who uses a volume is in image_use."""

from collections.abc import Iterable
from pathlib import PurePath

from qubes_manager.core.domain import Domain, DomainConfig
from qubes_manager.core.volumes import Role

# What libvirt puts between a throw-away disk's file and the domain's name (qemu_snapshot.c).
TRANSIENT = ".TRANSIENT-"


def image_name(source: str) -> str:
    """The name of the volume behind a disk's file, which may be a throw-away layer above it."""
    return PurePath(source).name.partition(TRANSIENT)[0]


def are_known(domains: Iterable[Domain]) -> bool:
    """Whether the XML of all *domains* has been read: what uses a volume is only known then."""
    return all(domain.is_read for domain in domains)


def system_source(config: DomainConfig) -> str:
    """The name of the volume that the domain's system disk is, or starts from; empty without one."""
    disk = config.disk(Role.ROOT)
    return image_name(disk.source) if disk else ""
