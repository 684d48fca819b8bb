"""Changing the record of a domain's volumes together with what its XML says of them, in one step."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qubes_manager.core.volumes import OwnVolume

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit


def put(*changed: OwnVolume) -> "Callable[[DomainEdit], None]":
    """An edit that records volumes, in place of those of the same name."""
    return lambda document: document.metadata().put_volumes(*changed)


def drop(names: Iterable[str]) -> "Callable[[DomainEdit], None]":
    """An edit that takes volumes out of the record."""
    gone = set(names)
    return lambda document: document.metadata().drop_volumes(gone)
