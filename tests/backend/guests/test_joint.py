"""Pumps between two sockets: what goes in comes out, exactly, and who lies or hangs is told of."""

import asyncio
import contextlib
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qubes_manager.backend.guests.joint import CAPACITY, Pump
from qubes_manager.core.errors import GuestError
from tests.waiting import soon, until

NO_LIMIT = 1 << 53


@dataclass
class Line:
    """A pump with who writes into it and who reads from it."""

    pump: Pump
    writer: socket.socket
    reader: socket.socket
    ends: tuple[socket.socket, socket.socket]

    async def write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.writer, data)

    async def read(self, size: int) -> bytes:
        got = b""
        async with soon():
            while len(got) < size:
                got += await asyncio.get_running_loop().sock_recv(self.reader, size - len(got))
        return got

    async def over(self) -> int:
        async with soon():
            return await asyncio.shield(self.pump.over)


def new_line(limit: int = NO_LIMIT) -> Line:
    writer, source = socket.socketpair()
    target, reader = socket.socketpair()
    for end in (writer, reader):
        end.setblocking(False)
    return Line(Pump(source, target, "work", "vault", limit), writer, reader, (source, target))


@contextlib.asynccontextmanager
async def a_line(limit: int = NO_LIMIT) -> AsyncIterator[Line]:
    line = new_line(limit)
    yield line
    line.pump.close()
    for end in (line.writer, line.reader, *line.ends):
        end.close()


async def test_what_is_announced_after_it_was_written_ends_the_pump() -> None:
    async with a_line() as line:
        await line.write(b"hello")
        assert await line.read(5) == b"hello"
        assert not line.pump.over.done()
        line.pump.expect(5)
        assert await line.over() == 5


async def test_what_is_announced_before_it_comes_is_waited_for() -> None:
    async with a_line() as line:
        line.pump.expect(5)
        await line.write(b"hel")
        assert await line.read(3) == b"hel"
        assert not line.pump.over.done()
        assert line.pump.is_waiting
        await line.write(b"lo")
        assert await line.over() == 5
        assert await line.read(2) == b"lo"
        assert not line.pump.is_waiting


async def test_nothing_at_all_is_a_whole_message_too() -> None:
    async with a_line() as line:
        line.pump.expect(0)
        assert await line.over() == 0


@pytest.mark.parametrize("kind", ["spliced", "buffered"])
async def test_a_hundred_megabytes_come_through_as_they_were_and_little_is_held(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "buffered":

        def refuse(*_args: object, **_named: object) -> int:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(os, "splice", refuse)
    block = os.urandom(1 << 20)
    sent, got = hashlib.sha256(), hashlib.sha256()
    loop = asyncio.get_running_loop()
    async with a_line() as line:

        async def write() -> None:
            for _ in range(100):
                sent.update(block)
                await line.write(block)
            line.pump.expect(100 << 20)

        async def read() -> None:
            count = 0
            while count < 100 << 20:
                data = await loop.sock_recv(line.reader, 1 << 20)
                got.update(data)
                count += len(data)
                assert line.pump.taken - line.pump.moved <= CAPACITY

        async with soon():
            await asyncio.gather(write(), read())
        assert await line.over() == 100 << 20
    assert got.digest() == sent.digest()


async def test_a_reader_that_reads_nothing_stops_the_writer_and_is_said_to_be_late() -> None:
    async with a_line() as line:

        async def write() -> None:
            while True:
                await line.write(bytes(1 << 16))

        writing = asyncio.create_task(write())
        await until(lambda: line.pump.is_waiting)
        taken = line.pump.taken
        # What is written meanwhile stays with the kernel.
        await asyncio.sleep(0.2)
        assert taken < 4 * CAPACITY
        assert line.pump.is_waiting
        assert line.pump.late_name == "vault"
        assert line.pump.last_move < time.monotonic()
        assert line.pump.taken == taken
        writing.cancel()


async def test_a_writer_that_announces_more_than_it_writes_is_said_to_be_late() -> None:
    async with a_line() as line:
        await line.write(b"hello")
        await line.read(5)
        line.pump.expect(6)
        assert line.pump.is_waiting
        assert line.pump.late_name == "work"


async def test_silence_where_nobody_owes_anything_is_no_stall() -> None:
    async with a_line() as line:
        assert not line.pump.is_waiting


@pytest.mark.parametrize("announced_first", [True, False])
async def test_a_writer_that_writes_more_than_it_announces_ends_the_pump(announced_first: bool) -> None:
    async with a_line() as line:
        if announced_first:
            line.pump.expect(4)
        await line.write(b"hello")
        if not announced_first:
            await line.read(5)
            line.pump.expect(4)
        with pytest.raises(GuestError, match="“work” sent more than the 4 bytes"):
            await line.over()


async def test_more_than_is_allowed_ends_the_pump() -> None:
    async with a_line(limit=1000) as line:
        await line.write(bytes(1001))
        with pytest.raises(GuestError, match="more than the 1000 bytes that are allowed"):
            await line.over()


@pytest.mark.parametrize("who", ["work", "vault"])
async def test_when_one_is_gone_it_is_said_who(who: str) -> None:
    async with a_line() as line:
        (line.writer if who == "work" else line.reader).close()
        if who == "vault":
            await line.write(b"hello")
        with pytest.raises(GuestError, match=f"“{who}” is gone"):
            await line.over()


async def test_a_pump_that_is_closed_holds_no_descriptors() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    lines = [new_line() for _ in range(50)]
    for line in lines:
        await line.write(b"x" * 1000)
    await asyncio.sleep(0.05)
    for line in lines:
        line.pump.close()
        line.pump.close()
        for end in (line.writer, line.reader, *line.ends):
            end.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_many_pumps_take_turns() -> None:
    async with contextlib.AsyncExitStack() as lines:
        all_lines = [await lines.enter_async_context(a_line()) for _ in range(20)]

        async def carry(line: Line) -> float:
            async def read() -> None:
                count = 0
                while count < 2 << 20:
                    count += len(await asyncio.get_running_loop().sock_recv(line.reader, 1 << 20))

            await asyncio.gather(line.write(bytes(2 << 20)), read())
            return time.monotonic()

        async with soon():
            ends = await asyncio.gather(*map(carry, all_lines))
        assert len(ends) == 20
