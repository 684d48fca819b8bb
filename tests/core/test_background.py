"""What runs beside others: nothing of it is lost, and nothing outlives its owner."""

import asyncio
import gc
import logging

import pytest

from qubes_manager.core.background import Background
from qubes_manager.core.errors import NotFound
from tests.waiting import soon


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def settled(background: Background) -> None:
    async with soon():
        while background.running:
            await asyncio.sleep(0)


async def test_what_runs_is_held_and_gives_its_result() -> None:
    background = Background()

    async def answer() -> int:
        # Nothing but a task's owner holds one that waits for a future that nobody else has.
        gc.collect()
        await asyncio.sleep(0.01)
        return 42

    task = background.spawn(answer())
    assert background.running == 1
    assert await task == 42
    assert background.running == 0


async def test_our_own_errors_are_a_line(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    background.spawn(fail(NotFound("the domain does not exist any more")))
    await settled(background)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "the domain does not exist any more")
    assert record.exc_info is None


async def test_a_defect_has_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    background.spawn(fail(ZeroDivisionError("x")))
    await settled(background)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "a task failed")
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError


async def test_each_failure_is_reported_and_the_others_go_on() -> None:
    errors: list[BaseException] = []
    background = Background(errors.append)
    defect, plain = ZeroDivisionError("x"), NotFound("y")
    background.spawn(fail(defect))
    background.spawn(fail(plain))
    other = background.spawn(asyncio.sleep(0.05, "done"))
    assert await other == "done"
    assert errors == [defect, plain]


async def test_what_is_cancelled_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = []
    background = Background(errors.append)
    one, two = background.spawn(asyncio.sleep(60)), background.spawn(asyncio.sleep(60))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0.01)
    assert (one.cancelled(), two.done(), background.running) == (True, False, 1)
    background.cancel()
    await settled(background)
    assert two.cancelled()
    assert not errors
    assert not caplog.records


async def test_closing_waits_for_all_that_cleans_up_after_itself() -> None:
    background = Background()
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            steps.append("cleaned up")
            background.spawn(linger())

    async def linger() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            steps.append("ended")

    background.spawn(work())
    await asyncio.sleep(0)
    await background.close()
    assert steps[0] == "cleaned up"
    assert background.running == 0
    assert len(asyncio.all_tasks()) == 1


async def test_closing_waits_for_what_a_cancel_before_has_begun_to_put_back() -> None:
    background, steps = Background(), []

    async def undo() -> None:
        await asyncio.sleep(0.05)
        steps.append("undone")

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.shield(undo())
            steps.append("ended")

    background.spawn(work())
    await asyncio.sleep(0)
    background.cancel()
    await asyncio.sleep(0)
    await background.close()
    assert steps == ["undone", "ended"]


async def test_what_fails_while_it_is_closed_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ZeroDivisionError

    background.spawn(work())
    await asyncio.sleep(0)
    await background.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_it_can_be_used_again_after_it_was_closed() -> None:
    background = Background()
    await background.close()
    assert await background.spawn(asyncio.sleep(0, 7)) == 7
