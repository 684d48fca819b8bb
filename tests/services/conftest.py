"""Services over real libvirt: its own test driver, or a libvirtd of our own without guests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.domain import Domain
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.conftest import own_daemon
from tests.driver import write_host


class World(Services):
    """The services over one connection, whose domains have been read."""

    def __init__(self, uri: str, *, watch: bool = False) -> None:
        store = DomainStore()
        super().__init__(Hosts(store, watch=watch), store)
        self.uri = uri

    def named(self, name: str) -> Domain:
        domain = self.store.named(self.uri, name)
        assert domain, name
        return domain

    async def names(self) -> set[str]:
        """Of the domains that libvirt has now."""
        found = await self.hosts.connection(self.uri).call("list", lambda raw: raw.listAllDomains())
        return {domain.name() for domain in found}

    async def volume_names(self) -> list[str]:
        """Of the volumes in our pool."""
        return await volume_store.volume_names(self.hosts.connection(self.uri), volume_store.POOL)


@pytest.fixture(scope="session")
def daemon() -> Iterator[PrivateDaemon]:
    """A libvirtd on which no other tests have guests: what is there is what a test made."""
    with own_daemon() as private:
        yield private


MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def driver_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Makes a world of domains on the test driver: its arguments are those of write_host, and *watch*."""
    made: list[World] = []

    async def make(
        domains: Iterable[NewDomain] = (),
        volumes: Iterable[str] = (),
        states: Mapping[str, int] = {},
        *,
        watch: bool = False,
    ) -> World:
        world = World(write_host(tmp_path, domains, volumes, states), watch=watch)
        await world.hosts.load(world.uri)
        made.append(world)
        return world

    yield make
    for world in made:
        await world.hosts.close()


@pytest.fixture
async def qemu_world(daemon: PrivateDaemon) -> AsyncIterator[World]:
    """A world on the QEMU driver; what a test leaves there, but the pool itself, is a failure of the test."""
    world = World(daemon.uri)
    await world.hosts.load(world.uri)
    await volume_store.ensure_pool(world.hosts.connection(world.uri))
    before = await world.names(), await world.volume_names()
    yield world
    after = await world.names(), await world.volume_names()
    await world.hosts.close()
    assert after == before
