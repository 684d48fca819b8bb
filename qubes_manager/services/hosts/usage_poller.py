"""Live figures of the rows that people can see; of no other."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Coroutine, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from qubes_manager.backend.domains.domain_reader import Sample, read_samples
from qubes_manager.core.background import Background
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.slow_figures import read_disk_sizes, read_guest_addresses
from qubes_manager.services.hosts.store import DomainStore

log = logging.getLogger(__name__)

INTERVAL = 2.0
# Addresses and disk sizes change slowly and cost a call a domain.
SLOW_INTERVAL = 30.0
# Who does not answer is asked less and less often.
_LONGEST_INTERVAL = 600.0
HISTORY = 30


@dataclass(frozen=True, slots=True)
class _Look:
    """When a domain's slow figures are due again (monotonic seconds), in which run and with which agent."""

    due: float
    pause: float
    run: tuple[int, bool]


class UsagePoller:
    """Polls CPU and memory of visible running domains; sleeps without a timer while there is none.

    Each host and each domain is waited for by itself: one that is slow makes its own figures late, and no other.
    """

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store
        self._visible: frozenset[DomainKey] = frozenset()
        self._woken = asyncio.Event()
        self._last: dict[DomainKey, Sample] = {}
        self._looks: dict[DomainKey, _Look] = {}
        self._flags_at = 0.0
        self._asking: dict[Hashable, asyncio.Task[None]] = {}
        self._background = Background()
        # The disks of one domain after those of the other: what a user waits for must find a thread free.
        self._disk_turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(1))

    def show(self, keys: Iterable[DomainKey]) -> None:
        """Say which rows can be seen; none while the window is hidden."""
        self._visible = frozenset(keys)
        if self._visible:
            self._woken.set()
        else:
            self._woken.clear()

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                await self._woken.wait()
                self.poll()
                await asyncio.sleep(INTERVAL)
        finally:
            await self._background.close()

    def poll(self) -> None:
        """Ask for the figures of the visible rows, but for those that were asked for and have not come yet."""
        by_host: dict[str, list[Domain]] = defaultdict(list)
        for key in self._visible:
            domain = self._store.get(key)
            if domain and not domain.is_host and not domain.stale:
                by_host[key.connection].append(domain)
        for uri, domains in by_host.items():
            self._ask(uri, self._poll_host(uri, [domain.key.uuid for domain in domains if domain.state.is_active]))
            for domain in domains:
                if self._is_due(domain):
                    self._ask(domain.key, self._read_slow(domain))
        self._forget_old()
        if time.monotonic() - self._flags_at > SLOW_INTERVAL:
            self._flags_at = time.monotonic()
            self._hosts.refresh_flags()

    async def settled(self) -> None:
        """Wait until all has come that was asked for."""
        while self._asking:
            await asyncio.wait(self._asking.values())

    def _ask(self, whom: Hashable, work: Coroutine[Any, Any, None]) -> None:
        if whom in self._asking:
            work.close()
            return
        task = self._asking[whom] = self._background.spawn(_quietly(work))
        task.add_done_callback(lambda _task: self._asking.pop(whom))

    async def _poll_host(self, uri: str, running: list[str]) -> None:
        samples = await read_samples(self._hosts.connection(uri), running)
        self._store.put(changed for sample in samples if (changed := self._with_sample(uri, sample)))

    def _with_sample(self, uri: str, sample: Sample) -> Domain | None:
        key = DomainKey(uri, sample.uuid)
        domain = self._store.get(key)
        before = self._last.get(key)
        self._last[key] = sample
        if domain is None or not domain.state.is_active:
            return None
        history = domain.usage.cpu_history
        if before and sample.moment > before.moment and sample.cpu_time >= before.cpu_time >= 0:
            elapsed = (sample.moment - before.moment) * 1e9 * max(sample.vcpus, 1)
            percent = min(100.0, 100 * (sample.cpu_time - before.cpu_time) / elapsed)
            history = (*history[1 - HISTORY :], round(percent, 1))
        return replace(domain, usage=replace(domain.usage, cpu_history=history, memory_kib=sample.memory_kib))

    def _is_due(self, domain: Domain) -> bool:
        """Whether addresses and disk sizes are old, or the guest's agent has just come up."""
        if not domain.is_read:
            return False
        look = self._looks.get(domain.key)
        return look is None or time.monotonic() > look.due or look.run != _run_of(domain)

    async def _read_slow(self, domain: Domain) -> None:
        """Read them; who has not answered twice in one run is asked after a longer pause."""
        before = self._looks.get(domain.key)
        pause = before.pause if before and before.run == _run_of(domain) else SLOW_INTERVAL / 2
        answered = False
        try:
            async with self._disk_turns[domain.key.connection]:
                await read_disk_sizes(self._hosts, self._store, domain)
            # Of an agent that was there before us libvirt has not told.
            asked = domain.agent is not False and domain.state.is_active
            answered = not asked or await read_guest_addresses(self._hosts, self._store, domain)
        finally:
            pause = SLOW_INTERVAL if answered else min(2 * pause, _LONGEST_INTERVAL)
            self._looks[domain.key] = _Look(time.monotonic() + pause, pause, _run_of(domain))

    def _forget_old(self) -> None:
        for key in [key for key in self._last if key not in self._visible]:
            del self._last[key]
        for key in [key for key in self._looks if self._store.get(key) is None]:
            del self._looks[key]


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """A host that is gone is noticed and said by who watches it."""
    try:
        await work
    except QubesManagerError as error:
        log.debug("figures did not come: %s", error)


def _run_of(domain: Domain) -> tuple[int, bool]:
    """What tells one run of a domain, and of its agent, from the next."""
    return domain.id, bool(domain.agent)
