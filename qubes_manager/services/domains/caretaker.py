"""Looks after what is left to do: templates' runs that have ended, and changes that a crash left half done."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.settlement import Settlement, needs_care
from qubes_manager.core.signal import Signal
from qubes_manager.services.domains.recovery import Recovery, needs_recovery
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.services.volumes.raw_volumes import writable_raw
from qubes_manager.services.volumes.template_roots import TemplateRoots

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
        to_qcow2: Callable[[DomainKey], Awaitable[object]],
        retry: float = _RETRY,
    ) -> None:
        self._store = store
        self._roots = roots
        self._recovery = recovery
        self._to_qcow2 = to_qcow2
        # What was done to put a domain in order, a sentence for people.
        self.recovered = Signal[str]()
        self._retry = retry
        self._waiting: dict[DomainKey, None] = {}
        self._untidy: dict[DomainKey, None] = {}
        # Domains with raw volumes of earlier versions; each is converted once, or fails once, while this lives.
        self._raw: dict[DomainKey, None] = {}
        self._converted: set[DomainKey] = set()
        self._woken = asyncio.Event()
        roots.settled.connect(self._settled)
        store.on_batch(self._on_batch)

    def _on_batch(self, batch: Batch) -> None:
        news = (*batch.added, *batch.changed)
        self._want(d for d in news if needs_care(d) or needs_recovery(d))
        raw = [d.key for d in news if d.state.is_over and not d.stale and not d.config.job and writable_raw(d)]
        if fresh := [key for key in raw if key not in self._converted]:
            self._raw.update(dict.fromkeys(fresh))
            self._woken.set()

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
            raw, self._raw = self._raw, {}
            for key in raw:
                self._converted.add(key)
                with _logged(key):
                    await self._to_qcow2(key)

    async def _recover(self, key: DomainKey) -> None:
        domain = self._store.get(key)
        if domain is None:
            return
        was_broken = needs_recovery(domain)
        with _logged(key):
            if (done := await self._recovery.recover(domain)) and was_broken:
                self.recovered.emit(done)
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
