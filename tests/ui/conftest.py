"""What the tests of widgets share."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest
import qasync
from PySide6.QtGui import Qt, QTextDocument
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.labels import LABELS
from qubes_manager.services.assembly import Services
from tests.qt_garbage import collected_here as collected_here
from tests.waiting import PATIENCE, until

# A halted one; the domains below run and have windows.
WORK = Domain(
    DomainKey("test:///x", "1"),
    "work",
    DomainState.HALTED,
    config=DomainConfig(label=LABELS["blue"], maximum_memory_kib=1 << 20, initial_memory_kib=1 << 20, vcpus=2),
)
APPS = (
    Application("editor", "Editor", "writes", icon=b"\x10\x20\x30\xff" * 48 * 48),
    Application("firefox", "Firefox"),
    Application("xterm", "XTerm"),
)


class Loop(qasync.QEventLoop):  # type: ignore[misc]
    """A loop that takes no step between two runs, where a task would find no running loop."""

    def run_until_complete(self, future: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(lambda _task: self.stop())
        self.run_forever()
        return task.result()


@pytest.fixture
def loop(qapp: QApplication) -> Iterator[qasync.QEventLoop]:
    loop = Loop(qapp, already_running=False)
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def services() -> Services:
    """The real ones, without a connection."""
    return Services.connecting(watch=True)


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    """What dialogs stand above."""
    parent = QWidget()
    qtbot.addWidget(parent)
    return parent


def run(loop: qasync.QEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    return loop.run_until_complete(asyncio.wait_for(work, PATIENCE))


def domain(name: str, **config: Any) -> Domain:
    ordinary = DomainConfig(label=LABELS["blue"], klass=DomainClass.STANDALONE, gui_port=True)
    return Domain(DomainKey("x", name), name, DomainState.RUNNING, config=replace(ordinary, **config))


def tip_says(tip: str) -> str:
    """What a person reads in a tool tip, of which Qt takes for markup what looks like it."""
    document = QTextDocument()
    (document.setHtml if Qt.mightBeRichText(tip) else document.setPlainText)(tip)
    return document.toPlainText()


async def shown_box() -> QMessageBox:
    def boxes() -> list[QMessageBox]:
        return [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox) and w.isVisible()]

    await until(boxes)
    return boxes()[0]


def press(box: QMessageBox, text: str) -> None:
    next(b for b in box.buttons() if b.text().replace("&", "") == text).click()
