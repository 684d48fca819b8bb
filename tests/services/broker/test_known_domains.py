"""Domains that a broker waits for, since it was only just started."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from qubes_manager.core.domain import HOST_UUID, UNREAD, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, QubesManagerError
from qubes_manager.services.broker import known_domains
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.hosts.store import DomainStore, HostPhase, HostStatus

URI = "test:///default"
KEY = DomainKey(URI, str(uuid4()))
READ = Domain(KEY, "work", DomainState.RUNNING, config=DomainConfig())


@pytest.fixture
def store() -> DomainStore:
    return DomainStore()


async def test_a_domain_is_waited_for_until_its_xml_has_come(store: DomainStore) -> None:
    known = KnownDomains(URI, store)
    wanted = [asyncio.create_task(known.domain(KEY.uuid)) for _ in range(2)]
    await asyncio.sleep(0)
    store.put([replace(READ, config=UNREAD)])
    store.flush()
    await asyncio.sleep(0)
    assert not any(task.done() for task in wanted)
    store.put([READ])
    store.flush()
    assert await asyncio.gather(*wanted) == [READ, READ]


async def test_the_host_has_nothing_to_be_read(store: DomainStore) -> None:
    host = Domain(DomainKey(URI, HOST_UUID), "dom0", DomainState.RUNNING, config=UNREAD)
    store.put([host])
    assert await KnownDomains(URI, store).domain(HOST_UUID) == host


async def test_one_that_is_not_there_is_waited_for_until_the_host_has_told_all(store: DomainStore) -> None:
    wanted = asyncio.create_task(KnownDomains(URI, store).domain(KEY.uuid))
    await asyncio.sleep(0)
    assert not wanted.done()
    store.set_host(HostStatus(URI, HostPhase.CONNECTED))
    with pytest.raises(NotFound):
        await wanted


async def test_one_that_cannot_be_read_is_said_so(store: DomainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_domains, "_PATIENCE", 0.01)
    store.put([replace(READ, config=UNREAD)])
    with pytest.raises(QubesManagerError, match="“work” could not be read"):
        await KnownDomains(URI, store).domain(KEY.uuid)
