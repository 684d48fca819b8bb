"""Keeping disposables ready: as many as are wanted, as long as there is memory for them."""

import asyncio
import logging
import math
from collections.abc import Iterator

from qubes_manager.backend.host.free_memory import read_memory
from qubes_manager.core.disposables import PreloadRules, memory_floor, parse_count
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.progress import SILENT
from qubes_manager.services.disposables.disposables import Disposables
from qubes_manager.services.disposables.preloaded import PreloadedDisposables
from qubes_manager.services.disposables.starting import DisposableStarts
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore

log = logging.getLogger(__name__)
# Seconds between two looks at what nothing tells of: memory, the user's settings.
_LOOK = 10.0
# Seconds before the next try after one that failed, and at most.
_FIRST_RETRY, _LAST_RETRY = 30.0, 600.0


class PreloadKeeper:
    """Boots disposables that wait, one after the other, and ends those that would come out otherwise now.

    A failure is logged and tried again later; nobody who wants a disposable waits for any of this.
    """

    def __init__(
        self,
        uri: str,
        hosts: Hosts,
        store: DomainStore,
        starts: DisposableStarts,
        preloaded: PreloadedDisposables,
        disposables: Disposables,
        defaults: GlobalDefaults,
        look: float = _LOOK,
    ) -> None:
        self._uri = uri
        self._hosts = hosts
        self._store = store
        self._starts = starts
        self._preloaded = preloaded
        self._disposables = disposables
        self._defaults = defaults
        self._look = look
        self._rules = PreloadRules()
        self._default = ""
        self._seen: dict[DomainKey, object] = {}
        self._not_before: dict[DomainKey, float] = {}
        self._retry: dict[DomainKey, float] = {}
        self._ready: dict[DomainKey, int] = {}
        self._woken = asyncio.Event()
        store.on_batch(self._on_batch)

    @property
    def is_idle(self) -> bool:
        """Whether none is wanted, and none is there."""
        return not any(self._wanted()) and not any(d.is_preloaded for d in self._store.of_host(self._uri))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._keep()
            try:
                async with asyncio.timeout(self._look):
                    await self._woken.wait()
            except TimeoutError:
                continue
            finally:
                self._woken.clear()

    def _on_batch(self, batch: Batch) -> None:
        for domain in (*batch.added, *batch.changed):
            if self._seen.get(domain.key) != _what_counts(domain):
                self._seen[domain.key] = _what_counts(domain)
                self._woken.set()
        for key in batch.removed:
            self._seen.pop(key, None)
            self._woken.set()

    def _wanted(self) -> Iterator[tuple[Domain, int]]:
        """The templates of which some are to be kept ready, and how many."""
        default = self._default
        for template in self._disposables.templates(self._uri):
            count = self._rules.maximum(template.config.features, is_default=template.name == default)
            if count and not template.stale:
                yield template, count

    async def _keep(self) -> None:
        await self._read_rules()
        wanted = {template.key: count for template, count in self._wanted()}
        await self._release_resumed()
        waiting: dict[DomainKey, list[Domain]] = {key: [] for key in wanted}
        for domain in [d for d in self._store.of_host(self._uri) if d.is_preloaded and not d.stale]:
            waiting.setdefault(DomainKey(self._uri, domain.config.template_uuid), []).append(domain)
        for key, domains in waiting.items():
            # One of which none can be made keeps no other from it.
            try:
                await self._keep_of(key, domains, wanted.get(key, 0))
            except QubesManagerError as error:
                log.warning("disposables that wait: %s", error)

    async def _keep_of(self, key: DomainKey, domains: list[Domain], count: int) -> None:
        kept = await self._drop_surplus(key, domains, count)
        self._note_use(key, kept)
        if kept < count:
            await self._refill(key, kept)

    async def _read_rules(self) -> None:
        names = ("default_dispvm", "preload_dispvm_max", "preload_dispvm_delay", "preload_dispvm_threshold")
        values = await asyncio.to_thread(lambda: [self._defaults.get(name) for name in names])
        self._default, most, delay, threshold = values
        floor = int(threshold) if threshold.isascii() and threshold.isdigit() and len(threshold) < 9 else 0
        self._rules = PreloadRules(parse_count(most) or 0, _number(delay), floor)

    async def _release_resumed(self) -> None:
        """One that somebody let go on is in use."""
        for domain in self._store.of_host(self._uri):
            if domain.is_preloaded and domain.state is DomainState.RUNNING:
                try:
                    await self._preloaded.release(domain.key)
                except QubesManagerError as error:
                    log.warning("“%s”: %s", domain.name, error)

    async def _drop_surplus(self, key: DomainKey, domains: list[Domain], count: int) -> int:
        """End those that nobody wants, or that would come out otherwise now; returns how many are left."""
        if not domains:
            return 0
        made_of = ""
        if count:
            try:
                made_of = await self._starts.made_of(key, SILENT)
            except Refused as error:
                log.warning("disposables that wait: %s", error)
        fitting = [d for d in domains if made_of and d.config.made_of == made_of]
        for domain in (*(d for d in domains if d not in fitting), *fitting[count:]):
            await self._preloaded.drop(domain.key)
        return min(len(fitting), count)

    def _note_use(self, key: DomainKey, count: int) -> None:
        """Let some time pass after one was used, so that it has the machine for itself while it begins."""
        if count < self._ready.get(key, 0):
            self._not_before[key] = asyncio.get_running_loop().time() + max(self._rules.delay, 0)
        self._ready[key] = count

    async def _refill(self, key: DomainKey, count: int) -> None:
        now = asyncio.get_running_loop().time()
        if (self._rules.delay < 0 and count) or not await self._has_memory(key):
            return
        if (pause := self._not_before.get(key, 0) - now) > 0:
            asyncio.get_running_loop().call_later(pause, self._woken.set)
            return
        try:
            await self._preloaded.boot(key)
        except QubesManagerError as error:
            pause = min(self._retry.get(key, _FIRST_RETRY / 2) * 2, _LAST_RETRY)
            self._retry[key] = pause
            self._not_before[key] = asyncio.get_running_loop().time() + pause
            log.warning("no disposable could be made ready, the next try is in %.0f s: %s", pause, error)
        else:
            self._retry.pop(key, None)
            self._ready[key] = count + 1
        # There may be more to do.
        self._woken.set()

    async def _has_memory(self, key: DomainKey) -> bool:
        total, free = await read_memory(self._hosts.connection(self._uri))
        template = self._store.require(key)
        return free - template.config.initial_memory_kib // 1024 >= (self._rules.threshold or memory_floor(total))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    return value if math.isfinite(value) else PreloadRules().delay


def _what_counts(domain: Domain) -> object:
    return domain.name, domain.state, domain.config
