"""Looks after what is left to do: templates' runs that have ended, and changes that a crash left half done."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.signal import Signal
from qubes_manager.services.domains.recovery import Recovery, needs_recovery
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.services.volumes.template_roots import Settlement, TemplateRoots, needs_settling

log = logging.getLogger(__name__)
# A change that this program itself is making is left alone by its lock; nothing else needs haste.
_PAUSE = 0.2
# Another program may be at work on a domain, and may die without any event telling of it.
_RETRY = 10.0


class Caretaker:
    """Watches the store, and tries again after *retry* seconds what another program was at work on."""

    def __init__(
        self,
        store: DomainStore,
        roots: TemplateRoots,
        recovery: Recovery,
        retry: float = _RETRY,
    ) -> None:
        self._store = store
        self._roots = roots
        self._recovery = recovery
        # The name of a domain that was put in order.
        self.recovered = Signal[str]()
        self._retry = retry
        self._waiting: dict[DomainKey, None] = {}
        self._untidy: dict[DomainKey, None] = {}
        self._woken = asyncio.Event()
        roots.settled.connect(self._settled)
        store.on_batch(self._on_batch)

    def _on_batch(self, batch: Batch) -> None:
        self._want(d for d in (*batch.added, *batch.changed) if needs_settling(d) or needs_recovery(d))

    def _want(self, domains: Iterable[Domain]) -> None:
        found = {domain.key: None for domain in domains if domain.activity is None}
        if found:
            self._waiting.update(found)
            self._woken.set()

    def _settled(self, settlement: Settlement) -> None:
        if settlement.is_kept:
            self._untidy[settlement.key] = None
            self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(_PAUSE)
            self._woken.clear()
            waiting, self._waiting = self._waiting, {}
            untidy, self._untidy = self._untidy, {}
            for key in waiting:
                await self._recover(key)
            for key in untidy:
                with _logged(key):
                    await self._roots.tidy(key)

    async def _recover(self, key: DomainKey) -> None:
        domain = self._store.get(key)
        if domain is None:
            return
        was_broken = needs_recovery(domain)
        with _logged(key):
            if await self._recovery.recover(domain) and was_broken:
                self.recovered.emit(domain.name)
        if (rest := self._store.get(key)) and needs_recovery(rest):
            asyncio.get_running_loop().call_later(self._retry, self._again, key)

    def _again(self, key: DomainKey) -> None:
        if domain := self._store.get(key):
            self._want([domain])


@contextlib.contextmanager
def _logged(key: DomainKey) -> Iterator[None]:
    """Another look comes with the domain's next change; until then the log has the reason."""
    try:
        yield
    except QubesManagerError as error:
        log.warning("%s: %s", key.uuid, error)
