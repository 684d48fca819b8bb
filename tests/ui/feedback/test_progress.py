"""Long jobs in the message bar: what they show, how often, and how they are stopped."""

import asyncio
from collections.abc import Callable

import pytest
import qasync
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QProgressBar, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from qubes_manager.core.errors import Cancelled
from qubes_manager.core.progress import Progress
from qubes_manager.ui.feedback import progress as module
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.progress import LoopProgress
from tests.ui.conftest import run
from tests.waiting import until


class Shown:
    """Stands for the message: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def update(self, text: str, done: int, total: int) -> None:
        self.told.append((text, done, total))


class Clock:
    """Stands for the module time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def messages(qtbot: QtBot) -> MessageBar:
    messages = MessageBar()
    qtbot.addWidget(messages)
    return messages


def _told(loop: qasync.QEventLoop, work: Callable[[LoopProgress], None]) -> list[tuple[str, int, int]]:
    """What reaches the message when a worker thread does *work*."""
    shown = Shown()

    async def job() -> None:
        await asyncio.to_thread(work, LoopProgress("Making “x”", shown))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)

    run(loop, job())
    return shown.told


def test_every_step_is_shown_and_ten_amounts_a_second(loop: qasync.QEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    def work(progress: LoopProgress) -> None:
        progress.step("Checking")
        progress.step("Copying", 1000)
        for done in range(0, 210, 10):
            clock.now += 1 / 64
            progress.at(done)
        progress.step("Unpacking")
        clock.now += 0.11
        progress.at(5, 50)

    assert _told(loop, work) == [
        ("Making “x”: Checking…", 0, 0),
        ("Making “x”: Copying…", 0, 1000),
        ("Making “x”: Copying…", 60, 1000),
        ("Making “x”: Copying…", 130, 1000),
        ("Making “x”: Copying…", 200, 1000),
        ("Making “x”: Unpacking…", 0, 0),
        ("Making “x”: Unpacking…", 5, 50),
    ]


def test_the_end_of_a_step_is_shown_once_however_often_it_is_told(
    loop: qasync.QEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", Clock())

    def work(progress: LoopProgress) -> None:
        for text in ("Copying", "Packing"):
            progress.step(text, 10)
            for done in (1, 10, 10, 10):
                progress.at(done)
        # Where nobody knows how much there is, nothing is the end.
        progress.step("Reading")
        progress.at(1)
        progress.at(2)

    assert [told[0].partition(": ")[2:] + told[1:] for told in _told(loop, work)] == [
        ("Copying…", 0, 10),
        ("Copying…", 10, 10),
        ("Packing…", 0, 10),
        ("Packing…", 10, 10),
        ("Reading…", 0, 0),
    ]


def test_cancel_stops_the_job_where_it_asks_and_says_so_meanwhile(
    loop: qasync.QEventLoop, messages: MessageBar
) -> None:
    async def work() -> None:
        going_on = asyncio.Event()
        asked: list[bool] = []

        async def copy(progress: Progress) -> None:
            await asyncio.to_thread(progress.step, "Copying", 100)
            await asyncio.to_thread(progress.at, 100)
            await asyncio.sleep(0.05)
            asked.append(progress.is_cancelled)
            await going_on.wait()
            await asyncio.to_thread(progress.step, "Copying on")
            await asyncio.sleep(0.05)
            assert messages.texts == ["Making “x”: stopping…"]
            await asyncio.to_thread(progress.raise_if_cancelled)

        job = asyncio.get_running_loop().create_task(Jobs(messages).run("Making “x”", copy))
        await until(lambda: asked)
        assert messages.texts == ["Making “x”: Copying…"]
        assert asked == [False]
        [cancel] = [b for b in messages.findChildren(QPushButton) if b.text() == "Cancel"]
        cancel.click()
        assert messages.texts == ["Making “x”: stopping…"]
        going_on.set()
        with pytest.raises(Cancelled):
            await job
        assert messages.texts == []

    run(loop, work())


def test_the_bar_moves_and_a_message_that_was_dismissed_stays_away(
    loop: qasync.QEventLoop, messages: MessageBar
) -> None:
    failures: list[object] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context))

    async def copy(progress: Progress) -> str:
        await asyncio.to_thread(progress.step, "Copying", 200)
        await asyncio.sleep(0.15)
        await asyncio.to_thread(progress.at, 50)
        await asyncio.sleep(0.05)
        [bar] = messages.findChildren(QProgressBar)
        assert bar.value() / bar.maximum() == 0.25
        [close] = messages.findChildren(QToolButton)
        close.click()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        await asyncio.to_thread(progress.step, "Packing")
        await asyncio.sleep(0.05)
        assert messages.texts == []
        return "made"

    assert run(loop, Jobs(messages).run("Making “x”", copy)) == "made"
    assert failures == []


def test_a_button_of_a_job_does_its_work_and_leaves_the_message(loop: qasync.QEventLoop, messages: MessageBar) -> None:
    opened: list[str] = []

    async def work(_progress: Progress) -> None:
        assert [b.text() for b in messages.findChildren(QPushButton)] == ["Show log"], "nothing cancels this one"
        messages.findChildren(QPushButton)[0].click()
        assert (opened, messages.texts) == (["log"], ["Cloning…"])

    button = ("Show log", lambda: opened.append("log"))
    run(loop, Jobs(messages).run("Cloning", work, buttons=[button], cancellable=False))
    assert messages.texts == []
