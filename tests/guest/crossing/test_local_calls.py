"""Calls of this guest's programs and of others, where something of its own goes wrong."""

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from qubes_manager.core.crossing.guest_messages import (
    FAILED,
    FIRST_STARTED,
    Accepted,
    Call,
    Cancel,
    Ended,
    FromGuest,
    Ready,
    StandsStill,
    Start,
    parse_to_guest,
)
from qubes_manager.guest.crossing import local_calls
from qubes_manager.guest.crossing.broker_line import BrokerLine
from qubes_manager.guest.crossing.daemon import Daemon
from qubes_manager.guest.crossing.local_calls import LocalCalls
from qubes_manager.guest.crossing.ports import HostGone
from qubes_manager.guest.crossing.running import Running
from qubes_manager.services.broker.guests.host_calls import READY_PATIENCE
from tests.guest.crossing.played_broker import service
from tests.waiting import until


class Line(BrokerLine):
    """A broker that hears everything and says nothing."""

    def __init__(self) -> None:
        self.heard: list[FromGuest] = []

    async def meet(self, timeout: float) -> None:
        pass

    async def tell(self, message: FromGuest) -> None:
        self.heard.append(message)


async def test_a_moment_without_descriptors_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_calls, "_ACCEPT_PAUSE", 0.01)
    loop = asyncio.get_running_loop()
    accept, troubles = loop.sock_accept, [OSError(errno.EMFILE, "Too many open files")]

    async def troubled(server: socket.socket) -> tuple[socket.socket, object]:
        if troubles:
            raise troubles.pop()
        return await accept(server)

    monkeypatch.setattr(loop, "sock_accept", troubled)
    line = Line()
    serving = asyncio.create_task(LocalCalls(line, lambda _name: -1).serve(tmp_path / "calls"))
    await until((tmp_path / "calls").exists)
    _reader, writer = await asyncio.open_unix_connection(tmp_path / "calls")
    writer.write(Call(0, "my.Service", "", "vault").to_json().encode() + b"\n")
    await until(lambda: line.heard)
    assert not troubles
    writer.close()
    serving.cancel()


async def test_the_end_of_a_call_that_was_given_up_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    line = Line()
    calls = LocalCalls(line, lambda _name: -1)
    serving = asyncio.create_task(calls.serve(tmp_path / "calls"))
    await until((tmp_path / "calls").exists)

    async def call() -> tuple[Call, asyncio.StreamReader, asyncio.StreamWriter]:
        before = len(line.heard)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "calls")
        writer.write(Call(0, "my.Service", "", "vault").to_json().encode() + b"\n")
        await until(lambda: len(line.heard) > before)
        said = line.heard[before]
        assert isinstance(said, Call)
        return said, reader, writer

    given_up, _reader, writer = await call()
    writer.close()
    await until(lambda: isinstance(line.heard[-1], Cancel))
    last, reader, writer = await call()
    assert not calls.hear(Ended(given_up.call, FAILED, "the caller has ended it"))
    assert calls.hear(Ended(last.call, FAILED, "why"))
    assert parse_to_guest((await reader.readline()).strip()) == Ended(last.call, FAILED, "why")
    writer.close()
    serving.cancel()


async def test_a_call_that_ends_before_its_port_is_open_says_why_it_ended(tmp_path: Path) -> None:
    line = Line()

    def no_host(_name: str) -> int:
        here, there = socket.socketpair()
        there.close()
        return here.detach()

    calls = LocalCalls(line, no_host)
    serving = asyncio.create_task(calls.serve(tmp_path / "calls"))
    await until((tmp_path / "calls").exists)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "calls")
    writer.write(Call(0, "my.Service", "", "vault").to_json().encode() + b"\n")
    await until(lambda: line.heard)
    [said] = line.heard
    assert isinstance(said, Call)
    calls.hear(Accepted(said.call, 0, "vault"))
    calls.hear(Ended(said.call, FAILED, "there is no user ghost"))
    async with asyncio.timeout(local_calls.PORT_TIMEOUT / 2):
        assert parse_to_guest((await reader.readline()).strip()) == Ended(said.call, FAILED, "there is no user ghost")
        assert await reader.read() == b""
    assert line.heard == [said]
    writer.close()
    serving.cancel()


async def test_a_call_that_waits_to_be_told_outlives_the_broker_before(tmp_path: Path) -> None:
    class Slow(Line):
        def __init__(self) -> None:
            super().__init__()
            self.is_asked, self.goes_on = asyncio.Event(), asyncio.Event()

        async def tell(self, message: FromGuest) -> None:
            self.is_asked.set()
            await self.goes_on.wait()
            await super().tell(message)

    line = Slow()
    calls = LocalCalls(line, lambda _name: -1)
    serving = asyncio.create_task(calls.serve(tmp_path / "calls"))
    await until((tmp_path / "calls").exists)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "calls")
    writer.write(Call(0, "my.Service", "", "vault").to_json().encode() + b"\n")
    await line.is_asked.wait()
    calls.lose()
    line.goes_on.set()
    await until(lambda: line.heard)
    [said] = line.heard
    assert isinstance(said, Call)
    calls.hear(Ended(said.call, 3, "the service's"))
    assert parse_to_guest((await reader.readline()).strip()) == Ended(said.call, 3, "the service's")
    writer.close()
    serving.cancel()


async def test_a_broker_that_goes_when_the_port_is_open_is_what_is_said(tmp_path: Path) -> None:
    ends: list[socket.socket] = []

    def open_port(_name: str) -> int:
        here, there = socket.socketpair()
        ends.append(there)
        return here.detach()

    class Going(Line):
        async def tell(self, message: FromGuest) -> None:
            if isinstance(message, Ready):
                calls.lose()
                raise HostGone
            await super().tell(message)

    line = Going()
    calls = LocalCalls(line, open_port)
    serving = asyncio.create_task(calls.serve(tmp_path / "calls"))
    await until((tmp_path / "calls").exists)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "calls")
    writer.write(Call(0, "my.Service", "", "vault").to_json().encode() + b"\n")
    await until(lambda: line.heard)
    [said] = line.heard
    assert isinstance(said, Call)
    calls.hear(Accepted(said.call, 0, "vault"))
    last = (await reader.read()).splitlines()[-1]
    assert parse_to_guest(last) == Ended(0, FAILED, "the connection to the host was lost")
    writer.close()
    serving.cancel()
    for end in ends:
        end.close()


async def test_a_service_that_cannot_be_begun_by_a_fault_of_ours_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_name: str) -> int:
        raise ValueError("embedded null byte")

    service(tmp_path, "test.Cat", "exec cat")
    daemon, line = Daemon(broken, folders=[tmp_path]), Line()
    monkeypatch.setattr(daemon, "_line", line)
    daemon._start(Start(FIRST_STARTED, "test.Cat", "", "work", "vault", 0, ""))
    await until(lambda: line.heard)
    assert line.heard == [
        Ended(FIRST_STARTED, FAILED, "a fault of the program that serves calls there; its log has more")
    ]


async def test_a_client_whose_call_is_over_is_closed_when_the_loop_looks_at_it_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[bool] = []
    loop = asyncio.get_running_loop()
    close: Callable[..., None] = socket.socket.__exit__

    def spied(client: socket.socket, *words: object) -> None:
        watched.append(loop.remove_reader(client))
        close(client, *words)

    line = Line()
    calls = LocalCalls(line, lambda _name: -1)
    serving = asyncio.create_task(calls.serve(tmp_path / "calls"))
    await until((tmp_path / "calls").exists)
    monkeypatch.setattr(socket.socket, "__exit__", spied)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "calls")
    writer.write(Call(0, "my.Service", "", "vault").to_json().encode() + b"\n")
    await until(lambda: line.heard)
    # The broker's word ends the call while the client is still listened to.
    assert calls.hear(Ended(0, 3))
    await until(lambda: watched)
    assert watched == [False]
    assert await reader.read() == Ended(0, 3).to_json().encode() + b"\n"
    writer.close()
    serving.cancel()


async def test_a_handler_that_has_the_port_itself_hears_that_its_caller_stands_still() -> None:
    daemon, number = Daemon(lambda _name: -1), FIRST_STARTED
    running = Running(Start(number, "qubes.Filecopy", "", "work", "vault", 0, ""), Line().tell)
    waiting = asyncio.create_task(asyncio.Event().wait())
    daemon._running[number] = running, waiting  # type: ignore[assignment]
    # As long as there is nobody to tell it.
    daemon._hear(StandsStill(number))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        running._link = ours
        daemon._hear(StandsStill(number))
        assert parse_to_guest(theirs.recv(1000)) == StandsStill(number)
    waiting.cancel()


def test_a_guest_that_stands_still_gives_a_port_up_no_sooner_than_the_host_does() -> None:
    assert local_calls.PORT_TIMEOUT >= READY_PATIENCE
