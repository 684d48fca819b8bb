"""What a host tells, put into the store."""

import asyncio

from qubes_manager.core.domain import DomainState
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch
from tests.waiting import until


async def test_a_storm_of_events_is_a_handful_of_batches(hosts: Hosts) -> None:
    batches: list[Batch] = []
    hosts.store.on_batch(batches.append)
    await asyncio.sleep(0.1)
    batches.clear()
    connection = hosts.connection(hosts.uris[0])
    running = [d for d in hosts.store.domains.values() if d.state is DomainState.RUNNING and not d.is_host]
    handles = [connection.handles[d.key.uuid] for d in running]
    await connection.call("pause", lambda _raw: [handle.suspend() for handle in handles])
    await until(lambda: all(hosts.store.domains[d.key].state is DomainState.PAUSED for d in running))
    await asyncio.sleep(0.1)
    assert sum(len(batch.changed) for batch in batches) == 20
    assert len(batches) <= 4


async def test_the_hosts_own_row_stays_when_it_is_asked_for_anew(hosts: Hosts) -> None:
    host = next(d for d in hosts.store.domains.values() if d.is_host)
    await hosts.refresh(host.key)
    assert hosts.store.get(host.key) == host
