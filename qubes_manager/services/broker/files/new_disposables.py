"""The disposables in which the user's files are opened, or made clean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.broker.transfers import Transfer
from qubes_manager.services.disposables.disposables import Disposables
from qubes_manager.services.hosts.store import DomainStore


class NewDisposables:
    """Makes them on one connection."""

    def __init__(self, uri: str, store: DomainStore, known: KnownDomains, disposables: Disposables) -> None:
        self._uri = uri
        self._store = store
        self._known = known
        self._disposables = disposables

    async def template(self, uuid: str) -> Domain:
        """What one is to be made of: the domain of that UUID, or the default for none; raises NotFound, Refused."""
        return await self._known.domain(uuid) if uuid else await self._disposables.default_for(self._uri)

    @asynccontextmanager
    async def new(self, template: DomainKey, transfer: Transfer) -> AsyncIterator[Domain]:
        """One for the block, which is the transfer's target; it is gone afterwards. Raises QubesManagerError."""
        transfer.step(TransferPhase.STARTING, "a new disposable is being started")
        async with self._disposables.new(template) as key:
            domain = self._store.require(key)
            transfer.to(domain.name, key.uuid)
            yield domain
