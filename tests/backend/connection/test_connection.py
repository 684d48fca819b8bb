"""Connections that are abandoned, and what stands when they are closed; on libvirt's own test driver."""

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable

import libvirt
import pytest

from qubes_manager.backend.connection import connection as module
from qubes_manager.backend.connection.call_threads import SIZE
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.early_open import EarlyOpen
from qubes_manager.backend.domains.domain_reader import read_configs, read_domains, read_stored_configs
from qubes_manager.core.errors import HostUnreachable, NotFound, TimedOut
from tests.waiting import PATIENCE, until

URI = "test:///default"


class Watched:
    """A real connection whose calls are written down; *before* is called before each of them, in its thread."""

    def __init__(self, before: Callable[[str], object] = lambda _name: None) -> None:
        self.calls: list[str] = []
        self._raw = libvirt.open(URI)
        self._before = before

    def __getattr__(self, name: str) -> object:
        found = getattr(self._raw, name)
        if not callable(found):
            return found

        def call(*args: object) -> object:
            self.calls.append(name)
            self._before(name)
            return found(*args)

        return call

    def count(self, part: str) -> int:
        return sum(part in name for name in self.calls)


class SlowHost:
    """Answers when it is let; what it opened is in ``opened``."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.opened: list[Watched] = []

    def __call__(self, _uri: str) -> Watched:
        self.asked.set()
        self.go.wait(PATIENCE)
        self.opened.append(Watched())
        return self.opened[-1]


@pytest.fixture
async def other() -> AsyncIterator[libvirt.virConnect]:
    """Somebody else on the same host, whose deeds make events."""
    raw = libvirt.open(URI)
    yield raw
    if not raw.lookupByName("test").isActive():
        raw.lookupByName("test").create()
    raw.close()


def make_events(raw: libvirt.virConnect) -> None:
    """Let the domain “test” be paused and run on."""
    raw.lookupByName("test").suspend()
    raw.lookupByName("test").resume()


async def test_what_opens_after_the_time_is_over_is_closed_and_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_TIMEOUT", 0.05)
    host = SlowHost()
    connection = LibvirtConnection(URI, watch=True, opener=host)
    with pytest.raises(TimedOut, match="cannot connect to test:///default"):
        await connection.open()
    host.go.set()
    await until(lambda: host.opened and host.opened[0].calls)
    await asyncio.sleep(0.1)
    assert host.opened[0].calls == ["close"]
    assert not connection.is_open


async def test_what_opens_after_nobody_waits_any_more_is_closed_and_the_next_try_stands(
    other: libvirt.virConnect,
) -> None:
    host = SlowHost()
    connection = LibvirtConnection(URI, watch=True, opener=host)
    opening = asyncio.create_task(connection.open())
    await asyncio.to_thread(host.asked.wait, PATIENCE)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await connection.open()
    host.go.set()
    await until(lambda: host.opened and host.opened[0].calls)
    with connection.listen() as events:
        make_events(other)
        await asyncio.wait_for(events.get(), PATIENCE)
    assert host.opened[0].calls == ["close"]
    await connection.close()


async def test_one_that_is_abandoned_while_it_registers_is_never_heard(other: libvirt.virConnect) -> None:
    registering, go = threading.Event(), threading.Event()

    def before(name: str) -> None:
        if name == "nodeDeviceEventRegisterAny":
            registering.set()
            go.wait(PATIENCE)

    watched = Watched(before)
    connection = LibvirtConnection(URI, watch=True, opener=lambda _uri: watched)
    with connection.listen() as events:
        opening = asyncio.create_task(connection.open())
        await asyncio.to_thread(registering.wait, PATIENCE)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        make_events(other)
        go.set()
        await until(lambda: "close" in watched.calls)
        make_events(other)
        await asyncio.sleep(0.2)
        assert events.empty()
    assert connection.handles == {}
    assert watched.count("EventRegisterAny") == watched.count("EventDeregisterAny") > 10
    assert watched.calls[-1] == "close"


async def test_one_that_opened_just_when_nobody_waited_any_more_is_closed() -> None:
    watched = Watched()
    connection = LibvirtConnection(URI, watch=True, opener=lambda _uri: watched)
    opening = asyncio.create_task(connection.open())
    await asyncio.sleep(0)
    # The loop does not run meanwhile: it hears of the result and of the end at once.
    while watched.count("nodeDeviceEventRegisterAny") < 2:
        time.sleep(0.01)
    time.sleep(0.2)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: "close" in watched.calls)
    assert not connection.is_open


async def test_an_early_connection_that_nobody_wants_any_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    host = SlowHost()
    with monkeypatch.context() as patch:
        patch.setattr(libvirt, "open", host)
        early = EarlyOpen(URI)
        host.asked.wait(PATIENCE)
    monkeypatch.setattr(module, "OPEN_TIMEOUT", 0.05)
    connection = LibvirtConnection(URI, watch=True, opener=early)
    with pytest.raises(TimedOut):
        await connection.open()
    host.go.set()
    await until(lambda: host.opened and host.opened[0].calls)
    await asyncio.sleep(0.1)
    assert host.opened[0].calls == ["close"]


async def test_closing_takes_all_callbacks_away_first_whatever_fails() -> None:
    def before(name: str) -> None:
        if name == "unregisterCloseCallback" or (name == "domainEventDeregisterAny" and watched.calls.count(name) == 1):
            raise libvirt.libvirtError("the host is gone")

    watched = Watched(before)
    connection = LibvirtConnection(URI, watch=True, opener=lambda _uri: watched)
    await connection.open()
    await connection.close()
    assert watched.count("EventRegisterAny") == watched.count("EventDeregisterAny") > 10
    assert watched.calls[-1] == "close"
    with pytest.raises(HostUnreachable, match="not connected"):
        await connection.call("ask", lambda raw: raw.getHostname())


async def test_an_event_that_was_on_its_way_is_not_heard_after_the_end(other: libvirt.virConnect) -> None:
    connection = LibvirtConnection(URI, watch=True)
    await connection.open()
    with connection.listen() as events:
        make_events(other)
        # libvirt's thread has handed them over by then, and the loop has not run.
        time.sleep(0.2)
        await connection.close()
        await asyncio.sleep(0.05)
        assert events.empty()
    assert connection.handles == {}


async def test_transfers_keep_no_other_call_waiting() -> None:
    release = threading.Event()
    connection = LibvirtConnection(URI, watch=False)
    await connection.open()
    transfers = [
        asyncio.create_task(connection.transfer("copy", lambda _raw: release.wait(PATIENCE))) for _ in range(SIZE + 1)
    ]
    await asyncio.sleep(0.05)
    assert await connection.call("ask", lambda raw: raw.getHostname(), timeout=PATIENCE)
    release.set()
    assert all(await asyncio.gather(*transfers))
    await connection.close()


async def test_a_connection_is_closed_even_when_all_its_threads_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    release = threading.Event()
    watched = Watched()
    connection = LibvirtConnection(URI, watch=False, opener=lambda _uri: watched)
    await connection.open()
    for _ in range(SIZE):
        with pytest.raises(TimedOut):
            await connection.call("hang", lambda _raw: release.wait(PATIENCE), timeout=0.02)
    await connection.close()
    assert watched.calls == []
    release.set()
    await until(lambda: watched.calls == ["close"])


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("qemu+unix:///session?socket=/no/such/socket", "libvirtd is not running there"),
        ("test:///no/such/file", "cannot connect to test:///no/such/file"),
        ("qemu+ssh://127.0.0.1:1/session?command=false", "the host ended the connection"),
    ],
)
async def test_a_connection_that_fails_says_what_to_do(uri: str, part: str) -> None:
    connection = LibvirtConnection(uri, watch=True)
    with pytest.raises(HostUnreachable, match=part) as caught:
        await connection.open()
    assert "\n" not in str(caught.value)


def test_the_test_driver_is_the_real_libvirt() -> None:
    assert libvirt.getVersion() >= 9_000_000


async def test_one_that_is_closed_under_a_call_is_freed_when_the_call_comes_back() -> None:
    asked, go = threading.Event(), threading.Event()

    def before(name: str) -> None:
        if name == "getType":
            asked.set()
            go.wait(PATIENCE)

    watched = Watched(before)
    connection = LibvirtConnection(URI, watch=True, opener=lambda _uri: watched)
    await connection.open()
    call = asyncio.create_task(connection.call("ask", lambda raw: raw.getType()))
    await asyncio.to_thread(asked.wait, PATIENCE)
    await connection.close()
    with pytest.raises(HostUnreachable, match="cannot ask: the connection to the host is gone"):
        await call
    assert watched.calls[-1] == "getType"
    go.set()
    await until(lambda: watched.calls[-1] == "close")


async def test_only_libvirt_says_that_a_domain_is_gone(other: libvirt.virConnect) -> None:
    domain = other.lookupByName("test")
    there, never = domain.UUIDString(), str(uuid.uuid4())
    connection = LibvirtConnection(URI, watch=False)

    async def ask(which: str) -> str:
        return await connection.on_domain(which, "ask “test”", lambda handle: str(handle.name()))

    async def ask_agent(which: str) -> str:
        return await connection.on_agent(which, "ask “test”", lambda handle: str(handle.name()), 5)

    for way in (ask, ask_agent):
        with pytest.raises(HostUnreachable, match="cannot ask “test”: not connected"):
            await way(there)
    await connection.open()
    for way in (ask, ask_agent):
        # Nothing has been listed on this line yet.
        assert await way(there) == "test"
        with pytest.raises(NotFound, match="does not exist any more"):
            await way(never)
    assert set(await read_domains(connection, [there, never])) == {there}
    assert (await read_configs(connection, [there, never]))[never] is None
    assert set(await read_stored_configs(connection, [there, never])) == {there}
    await connection.close()
    with pytest.raises(HostUnreachable):
        await ask(there)
