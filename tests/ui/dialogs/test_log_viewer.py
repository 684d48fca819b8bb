"""Logs, also huge and hostile ones."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from qubes_manager.core.crossing.clipboard_messages import PutClipboard
from qubes_manager.services.crossing.clipboard import Clipboards
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.files.logs import Logs, LogSource
from qubes_manager.ui.dialogs import log_viewer
from qubes_manager.ui.dialogs.log_viewer import LogViewer, as_lines
from tests.broker_stand_in import SilentLinks
from tests.waiting import until


def test_long_lines_are_broken_and_hostile_bytes_seen() -> None:
    text = as_lines(b"x" * 100_000 + b"\n\x1b[31mred\n")
    assert max(map(len, text.split("\n"))) <= 2000
    assert "\\x1b[31mred" in text


@pytest.fixture
def big_log(tmp_path: Path) -> Path:
    path = tmp_path / "big.log"
    line = b"2026-01-01 00:00:00.000+0000: 1234: info : something happened to a domain, number %08d\n"
    with path.open("wb") as file:
        for start in range(0, 1_250_000, 10_000):
            file.write(b"".join(line % number for number in range(start, start + 10_000)))
    assert path.stat().st_size > 100_000_000
    return path


def test_a_log_of_100_mb_opens_at_its_end_and_older_text_comes_on_demand(parent: QWidget, big_log: Path) -> None:
    import qasync

    loop = qasync.QEventLoop(QApplication.instance(), already_running=False)
    asyncio.set_event_loop(loop)
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.002)
            longest = max(longest, time.perf_counter() - start)

    links = SilentLinks()

    async def work() -> None:
        tasks: list[asyncio.Task[None]] = []

        def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(work))
            return tasks[-1]

        viewer = LogViewer(
            parent,
            Logs(LogPaths(big_log.parent)),
            Clipboards(links),
            spawn,
            None,
            "test:///x",
        )
        tasks[0].cancel()
        viewer.show()
        watch = loop.create_task(beat())
        await viewer.show_source(LogSource("big", big_log))
        assert viewer.text.toPlainText().endswith("number 01249999\n")
        assert len(viewer.text.toPlainText()) <= 1 << 20
        await viewer.load_older()
        assert 1 << 20 < len(viewer.text.toPlainText()) <= 2 << 20
        with big_log.open("ab") as file:
            file.write(b"the newest line\n")
        await viewer._grow()
        assert viewer.text.toPlainText().endswith("the newest line\n")
        viewer.search.setText("number 01245000")
        viewer.find_next()
        assert viewer.text.textCursor().selectedText() == "number 01245000"
        await viewer.copy()
        assert viewer.status.text() == "It is done."
        link = links.link("test:///x")
        assert link.asked == [PutClipboard.holding("number 01245000")]
        link.fails = "there is no broker"
        await viewer.copy()
        assert viewer.status.text() == "Not copied: there is no broker."
        watch.cancel()
        viewer.close()

    try:
        with loop:
            loop.run_until_complete(work())
    finally:
        asyncio.set_event_loop(None)
    print(f"longest block of the thread: {1000 * longest:.0f} ms")


def test_following_goes_on_after_rotation_absence_and_a_log_that_may_not_be_read(
    parent: QWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qasync

    monkeypatch.setattr(log_viewer, "_FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr(log_viewer, "_MOST", 3 << 20)
    loop = qasync.QEventLoop(QApplication.instance(), already_running=False)
    asyncio.set_event_loop(loop)
    logs = Logs(LogPaths(tmp_path))
    log = tmp_path / "manager.log"
    log.write_text("one\n")

    async def work() -> None:
        viewer = LogViewer(parent, logs, Clipboards(SilentLinks()), asyncio.create_task, None, "test:///x")
        viewer.show()
        await until(lambda: viewer.text.toPlainText() == "one\n")
        log.rename(tmp_path / "manager.log.1")
        await until(lambda: "there is no log" in viewer.status.text())
        log.write_text("two\n")
        await until(lambda: viewer.text.toPlainText() == "two\n")
        await until(lambda: "shown" in viewer.status.text())
        with log.open("a") as file:
            file.write("three\n")
        await until(lambda: viewer.text.toPlainText() == "two\nthree\n")
        log.unlink()
        log.mkdir()
        await until(lambda: "cannot be read" in viewer.status.text())
        log.rmdir()
        log.write_text("four\n")
        await until(lambda: viewer.text.toPlainText() == "four\n")
        assert viewer.follow.isChecked()
        # However much comes, what is kept in memory has an end.
        for _ in range(6):
            with log.open("a") as file:
                file.write("x" * 99 + "\n" * 1 + ("y" * 99 + "\n") * 10_000)
            size = log.stat().st_size
            await until(lambda size=size: viewer._last and viewer._last.end == size)  # type: ignore[misc]
            assert len(viewer.text.toPlainText()) <= 4 << 20
        viewer.close()

    try:
        with loop:
            loop.run_until_complete(work())
    finally:
        asyncio.set_event_loop(None)
