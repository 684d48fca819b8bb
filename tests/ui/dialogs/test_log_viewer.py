"""Logs, also huge and hostile ones."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from qubes_manager.services.crossing.clipboard import InterDomainClipboard
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.files.logs import Logs, LogSource
from qubes_manager.ui.dialogs.log_viewer import LogViewer, as_lines


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

    async def work() -> None:
        tasks: list[asyncio.Task[None]] = []

        def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(work))
            return tasks[-1]

        viewer = LogViewer(
            parent,
            Logs(LogPaths(big_log.parent)),
            InterDomainClipboard(),
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
        viewer.copy()
        assert "15 bytes are on the inter-domain clipboard, from dom0" in viewer.status.text()
        watch.cancel()
        viewer.close()

    try:
        with loop:
            loop.run_until_complete(work())
    finally:
        asyncio.set_event_loop(None)
    print(f"longest block of the thread: {1000 * longest:.0f} ms")
