"""Widgets that need no screen."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.labels import LABELS
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.services.crossing.clipboard import InterDomainClipboard
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.files.logs import Logs, LogSource
from qubes_manager.ui.actions import DOMAIN_ACTIONS, WINDOW_ACTIONS, ActionSet
from qubes_manager.ui.dialogs.log_viewer import LogViewer, as_lines
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.look.icons import icon, names

WORK = Domain(
    DomainKey("test:///x", "1"),
    "work",
    DomainState.HALTED,
    config=DomainConfig(label=LABELS["blue"], memory=1 << 20, vcpus=2),
)


def test_every_action_has_its_icon_and_every_domain_action_its_operation(qapp: QApplication) -> None:
    for spec in (*DOMAIN_ACTIONS, *WINDOW_ACTIONS):
        assert spec.icon in set(names())
        assert not icon(spec.icon).isNull()
    assert {spec.id for spec in DOMAIN_ACTIONS} == set(OPERATIONS)
    keys = [spec.key for spec in (*DOMAIN_ACTIONS, *WINDOW_ACTIONS) if spec.key]
    assert len(keys) == len(set(keys)), "a key does one thing"


def test_actions_are_enabled_where_they_apply(qtbot) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    actions = ActionSet(bar, DOMAIN_ACTIONS, lambda _id: None)
    running = replace(WORK, key=DomainKey("x", "2"), state=DomainState.RUNNING)
    actions.enable_for([WORK])
    assert actions["start"].isEnabled() and not actions["kill"].isEnabled()
    actions.enable_for([WORK, running])
    assert actions["start"].isEnabled() and actions["kill"].isEnabled()
    assert not actions["rename"].isEnabled()
    actions.enable_for([])
    assert not any(actions[spec.id].isEnabled() for spec in DOMAIN_ACTIONS)


def test_messages_show_plain_text_and_never_pile_up(qtbot) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.show_error(QubesManagerError("cannot start “<b>x</b>”: no", "raw text"))
    assert bar.texts == ["Cannot start “<b>x</b>”: no"]
    for number in range(10):
        bar.show_message(Level.WARNING, f"message {number}")
    assert bar.texts == [f"message {number}" for number in (6, 7, 8, 9)]
    bar.show_message(Level.WARNING, "again", key="host")
    bar.show_message(Level.WARNING, "and again", key="host")
    assert bar.texts[-1] == "and again" and "again" not in bar.texts


def test_the_settings_form_changes_only_what_was_changed(qtbot) -> None:
    called: list[str] = []

    class Recorder:
        def __getattr__(self, name: str):
            async def call(*_args: object) -> None:
                called.append(name)

            return call

    dialog = SettingsDialog(None, WORK)
    qtbot.addWidget(dialog)
    assert dialog.changes(Recorder()) == []
    dialog.memory.setValue(512)
    dialog.tags.setText("a b")
    dialog.name.setText("play")
    for change in dialog.changes(Recorder()):
        asyncio.run(change())
    assert called == ["set_memory", "set_tags", "rename"]


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


def test_a_log_of_100_mb_opens_at_its_end_and_older_text_comes_on_demand(qtbot, big_log: Path) -> None:
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
        tasks = []
        viewer = LogViewer(
            None,
            Logs(LogPaths(big_log.parent)),
            InterDomainClipboard(),
            lambda w: tasks.append(loop.create_task(w)) or tasks[-1],
            None,
            "test:///x",
        )
        qtbot.addWidget(viewer)
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
