"""What is told of a guest's ports, by libvirt's events and by what it has written down, which may be late."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests import port_changes as module
from qubes_manager.backend.guests.guest_port import read_ports
from qubes_manager.backend.guests.port_changes import port_changes
from qubes_manager.core.events import DomainEvent, DomainEventKind
from tests.waiting import soon, until

UUID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
OPENED, CLOSED = DomainEventKind.PORT_OPENED, DomainEventKind.PORT_CLOSED


class Guest:
    """Stands for a running domain, and what libvirt has written down of its ports."""

    def __init__(self) -> None:
        self.written = {"first": "disconnected", "second": "disconnected"}
        self.reads = 0
        # The read from which on the second one is written down as open.
        self.late = 1000

    def XMLDesc(self) -> str:
        self.reads += 1
        if self.reads >= self.late:
            self.written["second"] = "connected"
        channels = "".join(
            f"<channel><target name='{alias}' state='{state}'/><alias name='{alias}'/></channel>"
            for alias, state in self.written.items()
        )
        return f"<domain><devices>{channels}</devices></domain>"


class Following:
    """Who follows the ports of a guest, and what was told."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self.guest = Guest()
        self.told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._connection = connection
        connection.handles[UUID] = self.guest

    async def run(self) -> None:
        with self._connection.listen() as events:
            ports = await read_ports(self._connection, UUID)
            async for change in port_changes(self._connection, UUID, events, ports.values()):
                self.told.put_nowait(change)

    def say(self, kind: DomainEventKind, alias: str, uuid: str = UUID) -> None:
        self._connection.announce(DomainEvent(uuid, kind, alias))


@pytest.fixture
async def following(driver: LibvirtConnection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    monkeypatch.setattr(module, "_LOOKS", (0.05, 0.1, 0.15))
    following = Following(driver)
    task = asyncio.create_task(following.run())
    await until(lambda: following.guest.reads)
    yield following
    task.cancel()
    await asyncio.wait({task})


async def next_of(following: Following) -> tuple[str, bool]:
    async with soon():
        return await following.told.get()


async def test_events_of_the_domain_s_ports_are_told_in_their_order(following: Following) -> None:
    following.say(OPENED, "first", OTHER)
    following.say(DomainEventKind.STATE, "first")
    for kind in (OPENED, CLOSED, OPENED):
        following.say(kind, "first")
    assert [await next_of(following) for _ in range(3)] == [("first", True), ("first", False), ("first", True)]


@pytest.mark.parametrize("late", [2, 3, 4])
async def test_what_was_said_before_anybody_listened_is_told_when_libvirt_has_written_it_down(
    following: Following, late: int
) -> None:
    following.guest.late = late
    assert await next_of(following) == ("second", True)


async def test_it_is_not_looked_for_ever(following: Following) -> None:
    await until(lambda: following.guest.reads == 4)
    await asyncio.sleep(0.2)
    assert following.guest.reads == 4
    following.say(OPENED, "first")
    assert await next_of(following) == ("first", True)


async def test_what_was_heard_counts_whatever_libvirt_has_written_down(following: Following) -> None:
    following.say(OPENED, "first")
    assert await next_of(following) == ("first", True)
    following.say(CLOSED, "first")
    assert await next_of(following) == ("first", False)
    following.guest.written |= {"first": "connected", "second": "connected"}
    assert await next_of(following) == ("second", True)
