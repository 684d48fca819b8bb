"""Changing the record of a domain's volumes together with what its XML says of them, in one step."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qubes_manager.core.volumes import OwnVolume

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit


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
