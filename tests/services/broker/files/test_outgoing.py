"""Files on their way out of this machine."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qubes_manager.services.broker.files import outgoing
from qubes_manager.services.broker.files.outgoing import HostOutgoing
from tests.waiting import PATIENCE, soon, until


async def test_a_receiver_that_takes_nothing_leaves_the_threads_to_others(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    (tmp_path / "large").write_bytes(bytes(8 << 20))
    sent = HostOutgoing([tmp_path / "large"])
    await sent.begin()
    pieces = sent.pieces()
    await anext(pieces)
    async with soon():
        assert await asyncio.to_thread(lambda: "the policy is read")
    await pieces.aclose()
    await sent.close()


async def test_a_file_system_that_does_not_answer_leaves_the_threads_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    answers, asked = threading.Event(), threading.Event()

    def hang(_paths: object, **_more: object) -> None:
        asked.set()
        answers.wait(10 * PATIENCE)

    monkeypatch.setattr(outgoing, "survey", hang)
    looking = asyncio.create_task(HostOutgoing([tmp_path]).begin())
    await until(asked.is_set)
    async with soon():
        assert await asyncio.to_thread(lambda: "the policy is read")
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    answers.set()
