"""Domains as soon as they have been read."""

import asyncio

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError
from qubes_manager.services.hosts.store import DomainStore, HostPhase

# Seconds to wait for a domain's XML: a broker that was only just started knows few.
_PATIENCE = 20.0


class KnownDomains:
    """Those of one connection."""

    def __init__(self, uri: str, store: DomainStore) -> None:
        self._uri = uri
        self._store = store
        self._moved = asyncio.Event()
        store.on_batch(lambda _batch: self._moved.set())
        store.on_host(lambda _status: self._moved.set())

    async def domain(self, uuid: str) -> Domain:
        """A domain, or the host; raises NotFound, and QubesManagerError when it cannot be read now."""
        key = DomainKey(self._uri, uuid)
        try:
            async with asyncio.timeout(_PATIENCE):
                while not ((domain := self._store.get(key)) and (domain.is_read or domain.is_host)):
                    if domain is None and self._is_connected():
                        raise NotFound("the domain does not exist any more")
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            name = self._store.require(key).name
            raise QubesManagerError(f"“{name}” could not be read: the host does not tell what it is") from None
        return domain

    def _is_connected(self) -> bool:
        host = self._store.hosts.get(self._uri)
        return host is not None and host.phase is HostPhase.CONNECTED
