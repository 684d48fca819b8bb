"""Work in threads of its own: in order, bounded, never waited for by who has no use for it."""

import asyncio
import functools
import subprocess
import sys
import threading

import pytest

from qubes_manager.backend.user.own_thread import OwnThread, in_own_thread
from qubes_manager.core.errors import Cancelled, Refused
from tests.waiting import PATIENCE, until


def refuse() -> None:
    raise Refused("no")


async def test_a_function_gives_its_result_or_what_it_raises() -> None:
    assert await in_own_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(Refused):
        await in_own_thread(refuse)


async def test_what_is_given_is_done_in_order_and_not_beside_each_other() -> None:
    thread, done = OwnThread("work"), list[int]()
    running = [asyncio.create_task(thread.run(done.append, number)) for number in range(100)]
    await asyncio.gather(*running)
    assert done == list(range(100))
    await thread.end(done.clear, 5)
    assert done == []


async def test_after_a_failure_nothing_more_is_done_but_the_end() -> None:
    thread, done = OwnThread("work"), list[str]()
    for work in (refuse, functools.partial(done.append, "more")):
        with pytest.raises(Refused):
            await thread.run(work)
    await thread.end(lambda: done.append("end"), 5)
    assert done == ["end"]


async def test_the_end_is_not_waited_for_longer_than_that_and_comes() -> None:
    thread, goes_on, ended = OwnThread("work"), threading.Event(), threading.Event()
    running = [asyncio.create_task(thread.run(goes_on.wait, 60)), asyncio.create_task(thread.run(refuse))]
    await asyncio.sleep(0)
    await thread.end(ended.set, 0.01)
    assert not ended.is_set()
    goes_on.set()
    await until(ended.is_set)
    with pytest.raises(Cancelled):
        await running[1]
    assert await running[0]
    with pytest.raises(Cancelled):
        await thread.run(refuse)
    await thread.end(refuse, 60)


def test_a_program_ends_though_its_threads_hang() -> None:
    program = """
import asyncio, threading
from qubes_manager.backend.user.own_thread import OwnThread, in_own_thread

async def main():
    hanging = asyncio.create_task(in_own_thread(threading.Event().wait))
    beside = asyncio.create_task(OwnThread("work").run(threading.Event().wait))
    await asyncio.sleep(0)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=PATIENCE).returncode == 0
