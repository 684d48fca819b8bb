"""Connections that are on their way before anybody can wait for them. Imports next to nothing."""

from collections.abc import Iterable

from qubes_manager.backend.connection.early_open import EarlyOpen


def start_opening(uris: Iterable[str], *, watch: bool = False) -> dict[str, EarlyOpen]:
    """Start to connect to each of *uris*; the result is for Hosts.load, or with *watch* for Hosts.follow."""
    return {uri: EarlyOpen(uri, watch=watch) for uri in uris}
