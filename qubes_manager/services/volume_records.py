"""Changing the record of a domain's volumes together with what its XML says of them, in one step."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import TRANSIENT
from qubes_manager.core.domain import Domain, DomainConfig
from qubes_manager.core.volumes import OwnVolume

if TYPE_CHECKING:
    from qubes_manager.backend.domain_xml import DomainEdit


def put(*changed: OwnVolume) -> "Callable[[DomainEdit], None]":
    """An edit that records volumes, in place of those of the same name."""
    names = {v.name for v in changed}

    def edit(document: "DomainEdit") -> None:
        kept = [v for v in document.config.volumes if v.name not in names]
        document.metadata().set_volumes([*kept, *changed])

    return edit


def drop(names: Iterable[str]) -> "Callable[[DomainEdit], None]":
    """An edit that takes volumes out of the record."""
    gone = set(names)

    def edit(document: "DomainEdit") -> None:
        document.metadata().set_volumes([v for v in document.config.volumes if v.name not in gone])

    return edit


def image_name(source: str) -> str:
    """The name of the volume behind a disk's file, which may be a throw-away layer above it."""
    return PurePath(source).name.partition(TRANSIENT)[0]


def images_in_use(domains: Iterable[Domain]) -> set[str]:
    """The volumes that disks of *domains* are, or start from, by name."""
    return {image_name(d.source) for domain in domains if domain.config for d in domain.config.disks if d.source}


def needed_by_others(own: Domain, others: Sequence[Domain]) -> set[str]:
    """The volumes of *own* that other domains' volumes stand on, record as theirs too, or use as a disk, by name."""
    rest = [d for d in others if d.key != own.key]
    recorded = [v for d in rest if d.config for v in d.config.volumes]
    mentioned = {v.backing for v in recorded} | {v.name for v in recorded} | images_in_use(rest)
    mine = {v.name for v in own.config.volumes} if own.config else set()
    return mentioned & mine


def are_known(domains: Iterable[Domain]) -> bool:
    """Whether the XML of all *domains* has been read: what uses a volume is only known then."""
    return all(domain.config is not None for domain in domains)


def system_source(config: DomainConfig) -> str:
    """The name of the volume that the domain's system disk is, or starts from; empty without one."""
    disk = next((d for d in config.disks if d.kind == "disk"), None)
    return image_name(disk.source) if disk else ""
