"""The broker on the test driver, where no domain has any ports."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.events import DomainEvent
from qubes_manager.core.labels import LABELS
from qubes_manager.services.assembly import Services
from qubes_manager.services.broker.guests import guest_end
from qubes_manager.services.broker.guests.session import DomainSession
from qubes_manager.services.broker.service import Broker
from qubes_manager.services.broker_assembly import BrokerParts
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.crossing.audit import Decision
from tests.services.broker.fake_guest import FakeGuest
from tests.services.broker.showing import Showing
from tests.waiting import soon, until

URI = "test:///default"


def new_broker(grace: float = 60) -> Broker:
    return BrokerParts(Services.connecting(watch=True), URI).program(grace)


async def until_it_listens() -> None:
    await until(lambda: socket_path(URI).exists())


@pytest.fixture
async def broker() -> AsyncIterator[BrokerParts]:
    """The parts of one that runs."""
    parts = BrokerParts(Services.connecting(watch=True), URI)
    running = parts.program(60)
    task = asyncio.create_task(running.run())
    await until_it_listens()
    yield parts
    running.stop()
    async with soon():
        assert await task is True


class Crossing:
    """The parts of a broker over domains that are not there, and guests behind their ports."""

    def __init__(self, folder: Path, services: Services) -> None:
        self.services = services
        self.broker = BrokerParts(services, URI)
        self.broker.program(60)
        self.guests: list[FakeGuest] = []
        self._folder = folder

    async def guest(self, name: str, *, begin: bool = True, state: DomainState = DomainState.RUNNING) -> FakeGuest:
        """A domain that runs."""
        uuid, number = str(uuid4()), len(self.guests)
        connection = self.services.hosts.connection(URI)
        guest = FakeGuest(
            self._folder / str(number),
            uuid,
            name,
            lambda kind, alias: connection.announce(DomainEvent(uuid, kind, alias)),
        )
        self.guests.append(guest)
        connection.handles[uuid] = guest
        self.put(guest, state)
        if begin:
            await guest.begin()
            await until(lambda: self.session(guest).is_ready)
        return guest

    def put(self, guest: FakeGuest, state: DomainState, name: str = "", number: int = 1) -> None:
        """libvirt tells how the domain stands."""
        config = DomainConfig(klass=DomainClass.APP, label=LABELS["red"], crossing_ports=True)
        runs = number if state.is_active else -1
        self.services.store.put([Domain(key_of(guest), name or guest.name, state, runs, config=config)])
        self.services.store.flush()

    def session(self, guest: FakeGuest) -> DomainSession:
        found = self.broker.sessions.find(key_of(guest))
        assert found
        return found

    def let(self, rules: str) -> None:
        """Have a policy."""
        self.services.policy_files.folder.mkdir(parents=True, exist_ok=True)
        self.services.policy_files.replace("30-user", rules)

    def decisions(self) -> list[Decision]:
        """Those that were recorded, the oldest first."""
        return self.services.audit.read()[::-1]

    async def close(self) -> None:
        await self.broker.calls.close()
        await self.broker.sessions.close()
        for guest in self.guests:
            await guest.end()
        await self.services.hosts.close()


def key_of(guest: FakeGuest) -> DomainKey:
    return DomainKey(URI, guest.uuid)


@pytest.fixture
async def crossing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crossing]:
    # Guests here have said all by then.
    monkeypatch.setattr(guest_end, "_LAST_WORDS", 0.3)
    services = Services.connecting(watch=False)
    await services.hosts.load(URI)
    world = Crossing(Path(os.environ["XDG_STATE_HOME"]), services)
    world.let("my.Service * @anyvm @anyvm allow\n")
    yield world
    await world.close()


@pytest.fixture
async def showing() -> AsyncIterator[Showing]:
    """A program that shows windows."""
    showing = Showing()
    await showing.open()
    yield showing
    await showing.close()
