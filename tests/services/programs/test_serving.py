"""A program that serves others: whom it answers, in which order, who has gone, and that it is alone."""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qubes_manager.core.errors import Refused
from qubes_manager.core.json_lines import Message
from qubes_manager.core.service_messages import Done, Failed
from qubes_manager.services.programs import serving
from qubes_manager.services.programs.client import Client
from qubes_manager.services.programs.serving import Serving, only_one
from tests.waiting import soon, until


class Served:
    """Answers by what a line says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.left = 0
        self.go_on = asyncio.Event()
        self.serving = Serving(("serve",), self._answer, self._on_left, lambda: True, 0.05)

    async def _answer(self, _client: Client, line: bytes) -> Message:
        self.begun.append(line)
        try:
            match line:
                case b"wait\n":
                    await self.go_on.wait()
                case b"refuse\n":
                    raise Refused("no")
                case b"break\n":
                    raise ZeroDivisionError
        except asyncio.CancelledError:
            self.cancelled.append(line)
            raise
        return Done()

    def _on_left(self, _client: Client) -> None:
        self.left += 1

    @contextlib.asynccontextmanager
    async def asking(self, *lines: bytes) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.writelines(lines)
        yield reader
        writer.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path / "socket")
    async with served.serving.listening(served.path, 1000):
        yield served


async def test_one_that_hangs_up_while_it_is_answered_is_gone_at_once(served: Served) -> None:
    async with served.asking(b"wait\n", b"never\n"):
        await until(lambda: served.begun)
        assert not served.serving.ended.is_set()
    await until(lambda: served.left and served.cancelled)
    async with soon():
        await served.serving.ended.wait()
    assert served.begun == [b"wait\n"]


async def test_answers_come_in_the_order_of_the_requests(served: Served) -> None:
    async with served.asking(b"wait\n", b"refuse\n", b"break\n", b"do\n") as reader:
        await until(lambda: served.begun)
        served.go_on.set()
        said = [await reader.readline() for _ in range(4)]
    answers = (Done(), Failed("no"), Failed("a fault of the program; its log has more"), Done())
    assert said == [answer.to_json().encode() + b"\n" for answer in answers]


async def test_of_one_that_says_more_than_it_waits_for_little_is_kept(served: Served) -> None:
    async with served.asking(b"wait\n", *[b"do\n"] * 5000) as reader:
        await until(lambda: served.begun)
        served.go_on.set()
        for _ in range(5001):
            assert await reader.readline()


async def is_alone(path: Path) -> bool:
    async with only_one(path) as found:
        return found


async def test_a_second_one_leaves_while_the_first_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "it.sock"
    async with only_one(path) as first:
        server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
        assert (first, await is_alone(path)) == (True, False)
        server.close()


async def test_one_that_is_started_while_another_one_ends_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "it.sock"
    async with only_one(path):
        next_one = asyncio.create_task(is_alone(path))
        await asyncio.wait([next_one], timeout=0.3)
        assert not next_one.done(), "it waits for who can be found no more"
    assert await next_one


async def test_who_does_not_end_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "END_PATIENCE", 0.1)
    async with only_one(tmp_path / "it.sock"):
        assert not await is_alone(tmp_path / "it.sock")


async def test_who_cannot_be_found_any_more_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_LOST", 0.01)
    served = Served(tmp_path / "socket")
    served.serving = Serving(("serve",), served._answer, served._on_left, lambda: False, 0.05)
    async with served.serving.listening(served.path, 1000):
        async with served.asking(b"\n") as reader:
            await reader.readline()
        assert not served.serving.ended.is_set()
        served.path.unlink()
        served.path.touch()
        await until(served.serving.ended.is_set)
    assert served.path.exists(), "what another one has there now is not taken away"


async def test_a_folder_that_cannot_be_looked_at_ends_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_LOST", 0.01)
    looked = 0

    def unanswered(path: Path) -> os.stat_result:
        nonlocal looked
        looked += 1
        raise OSError(errno.ESTALE, "Stale file handle")

    served = Served(tmp_path / "socket")
    served.serving = Serving(("serve",), served._answer, served._on_left, lambda: False, 0.05)
    async with served.serving.listening(served.path, 1000):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "lstat", unanswered)
            await until(lambda: looked > 2)
        assert not served.serving.ended.is_set()
