"""Live figures of the rows that people can see; of no other."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from qubes_manager.backend.domains.domain_reader import DiskUse, Sample, read_addresses, read_disk_use, read_samples
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.volumes import Role
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

log = logging.getLogger(__name__)

INTERVAL = 2.0
# Addresses and disk sizes change slowly and cost a call a domain.
SLOW_INTERVAL = 30.0
HISTORY = 30


class UsagePoller:
    """Polls CPU and memory of visible running domains; sleeps without a timer while there is none."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store
        self._visible: frozenset[DomainKey] = frozenset()
        self._woken = asyncio.Event()
        self._last: dict[DomainKey, Sample] = {}
        self._slow_at: dict[DomainKey, tuple[float, bool]] = {}
        self._flags_at = 0.0

    def show(self, keys: Iterable[DomainKey]) -> None:
        """Say which rows can be seen; none while the window is hidden."""
        self._visible = frozenset(keys)
        if self._visible:
            self._woken.set()
        else:
            self._woken.clear()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self._woken.wait()
            await self.poll()
            await asyncio.sleep(INTERVAL)

    async def poll(self) -> None:
        """Poll the visible rows once."""
        by_host: dict[str, list[Domain]] = defaultdict(list)
        for key in self._visible:
            domain = self._store.get(key)
            if domain and not domain.is_host and not domain.stale:
                by_host[key.connection].append(domain)
        await asyncio.gather(*(self._poll_host(uri, domains) for uri, domains in by_host.items()))
        self._forget_old()
        if time.monotonic() - self._flags_at > SLOW_INTERVAL:
            self._flags_at = time.monotonic()
            self._hosts.refresh_flags()

    async def _poll_host(self, uri: str, domains: list[Domain]) -> None:
        connection = self._hosts.connection(uri)
        running = [domain.key.uuid for domain in domains if domain.state.is_active]
        try:
            samples = await read_samples(connection, running)
            self._store.put(changed for sample in samples if (changed := self._with_sample(uri, sample)))
            for domain in domains:
                if self._is_due(domain):
                    await self._read_slow(domain)
        except QubesManagerError as error:
            log.debug("no figures from %s: %s", uri, error)

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
        moment, agent = self._slow_at.get(domain.key, (0.0, False))
        return time.monotonic() - moment > SLOW_INTERVAL or bool(domain.agent) != agent

    async def _read_slow(self, domain: Domain) -> None:
        self._slow_at[domain.key] = (time.monotonic(), bool(domain.agent))
        await read_slow_figures(self._hosts, self._store, domain, addresses=bool(domain.agent))

    def _forget_old(self) -> None:
        for key in [key for key in self._last if key not in self._visible]:
            del self._last[key]


async def read_slow_figures(hosts: Hosts, store: DomainStore, domain: Domain, *, addresses: bool) -> None:
    """Read a domain's disk sizes, and its addresses when asked and when it runs, into the store."""
    connection, uuid = hosts.connection(domain.key.connection), domain.key.uuid
    disks = [disk for disk in domain.config.disks if disk.source]
    private = [disk.target for disk in disks if disk.serial == Role.PRIVATE.value]
    use = await read_disk_use(connection, uuid, [disk.target for disk in disks]) if disks else {}
    found = await read_addresses(connection, uuid) if addresses and domain.state.is_active else ()
    if newest := store.get(domain.key):
        usage = replace(
            newest.usage,
            addresses=found,
            disk_allocation=_total(use, use, "allocation"),
            disk_capacity=_total(use, use, "capacity"),
            private_allocation=_total(use, private, "allocation"),
            private_capacity=_total(use, private, "capacity"),
        )
        store.put([replace(newest, usage=usage)])


def _total(use: Mapping[str, DiskUse], targets: Iterable[str], figure: str) -> int | None:
    found = [getattr(use[target], figure) for target in targets if target in use]
    return sum(found) if found else None
