"""Garbage that Qt has to do with is collected on the window's thread."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from qubes_manager.ui.garbage import GarbageCollector


class Circle(QObject):
    """Garbage that only the collector finds, with a timer that another thread could not stop."""

    def __init__(self, ends: list[str]) -> None:
        super().__init__()
        self.me = self
        self.startTimer(1000)
        weakref.finalize(self, lambda: ends.append(threading.current_thread().name))


@pytest.fixture
def collector(qtbot: QtBot) -> Iterator[GarbageCollector]:
    gc.collect()
    # The tests of widgets have switched it off by themselves.
    gc.enable()
    collector = GarbageCollector(interval=20)
    yield collector
    collector.deleteLater()
    gc.enable()


@pytest.mark.usefixtures("collector")
def test_threads_that_allocate_much_collect_nothing_and_the_window_does(qtbot: QtBot) -> None:
    ends: list[str] = []
    for _ in range(10):
        Circle(ends)

    # They stay: what goes again counts for nothing when Python asks whether it is time to collect.
    kept: list[list[int]] = []

    def work() -> None:
        kept.extend([number] for number in range(100_000))
        ends.append(f"{len(kept)} made")

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    assert ends == ["100000 made"]
    qtbot.waitUntil(lambda: len(ends) == 11)
    assert set(ends[1:]) == {"MainThread"}
