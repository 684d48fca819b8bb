"""What a host tells, put into the store."""

import time

from qubes_manager.core.domain import DomainState
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import BATCH_SECONDS, Batch
from tests.waiting import until


async def test_a_storm_of_events_is_a_handful_of_batches(hosts: Hosts) -> None:
    batches: list[Batch] = []
    hosts.store.on_batch(batches.append)
    hosts.store.flush()
    batches.clear()
    connection = hosts.connection(hosts.uris[0])
    running = [d for d in hosts.store.domains.values() if d.state is DomainState.RUNNING and not d.is_host]
    handles = [connection.handles[d.key.uuid] for d in running]
    began = time.monotonic()
    await connection.call("pause", lambda _raw: [handle.suspend() for handle in handles])
    await until(lambda: all(hosts.store.domains[d.key].state is DomainState.PAUSED for d in running))
    hosts.store.flush()
    assert {changed.key for batch in batches for changed in batch.changed} >= {d.key for d in running}
    assert len(running) == 20
    # One for each while that it took, and those that began before and were ended after it.
    assert len(batches) <= 2 + (time.monotonic() - began) / BATCH_SECONDS


async def test_the_hosts_own_row_stays_when_it_is_asked_for_anew(hosts: Hosts) -> None:
    host = next(d for d in hosts.store.domains.values() if d.is_host)
    await hosts.refresh(host.key)
    assert hosts.store.get(host.key) == host
