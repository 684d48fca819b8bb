"""Questions, and what is offered when a guest does not shut down."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

from PySide6.QtWidgets import QApplication, QCheckBox, QMessageBox, QPushButton, QWidget

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.services.domains.lifecycle import ShutdownTimedOut
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from tests.ui.conftest import run

WORK = Domain(DomainKey("x", "1"), "work", DomainState.RUNNING, config=DomainConfig())


async def shown_box() -> QMessageBox:
    while not (boxes := [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox) and w.isVisible()]):
        await asyncio.sleep(0.01)
    return boxes[0]


def press(box: QMessageBox, text: str) -> None:
    next(b for b in box.buttons() if b.text().replace("&", "") == text).click()


def test_the_safe_button_is_the_default_and_a_tick_is_remembered(loop, qtbot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    confirmation = Confirmation(parent, set())

    async def work() -> None:
        asking = asyncio.ensure_future(confirmation.ask(OPERATIONS["pause"], [WORK]))
        box = await shown_box()
        assert box.text() == "Pause “work”?"
        assert box.informativeText() == "Its programs stand still until it is resumed."
        assert box.defaultButton().text().replace("&", "") == "Cancel"
        press(box, "Cancel")
        assert await asking is False
        assert confirmation.unasked == set()
        asking = asyncio.ensure_future(confirmation.ask(OPERATIONS["pause"], [WORK]))
        box = await shown_box()
        box.findChild(QCheckBox).setChecked(True)
        press(box, "Pause")
        assert await asking is True
        assert confirmation.unasked == {"pause"}
        assert await confirmation.ask(OPERATIONS["pause"], [WORK]) is True

    run(loop, work())


def test_what_loses_data_is_asked_whatever_the_settings_say(loop, qtbot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    confirmation = Confirmation(parent, set(OPERATIONS))

    async def work() -> None:
        asking = asyncio.ensure_future(confirmation.ask(OPERATIONS["kill"], [WORK]))
        box = await shown_box()
        assert not box.findChildren(QCheckBox)
        press(box, "Cancel")
        assert await asking is False

    run(loop, work())


class Lifecycle:
    """Stands in for guests that hang: those take a minute each."""

    def __init__(self) -> None:
        self.killed: list[DomainKey] = []
        self.waited: list[DomainKey] = []

    async def shutdown(self, key: DomainKey, timeout: float) -> None:
        assert timeout == 60
        raise ShutdownTimedOut(replace(WORK, key=key), timeout)

    async def wait_halted(self, key: DomainKey, timeout: float) -> None:
        self.waited.append(key)

    async def start(self, key: DomainKey, passphrase: str = "") -> None:
        raise HostCallFailed("cannot start “work”: no", "libvirt said no")

    async def kill(self, key: DomainKey) -> None:
        self.killed.append(key)

    pause = restart = kill


def test_a_shutdown_that_takes_long_offers_to_wait_or_to_kill(loop, qtbot) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)

    async def work() -> None:
        store = DomainStore()
        store.put([WORK])
        lifecycle = Lifecycle()
        services = SimpleNamespace(
            store=store,
            lifecycle=lifecycle,
            removal=SimpleNamespace(remove=None),
            promotion=SimpleNamespace(to_template=None),
            links=SimpleNamespace(on_link=lambda _listener: None),
        )
        confirmation = Confirmation(messages, {"shutdown", "start"})
        commands = DomainCommands(
            messages, services, Tasks(messages.show_error), messages, confirmation, Jobs(messages), lambda: None
        )
        commands.trigger("shutdown", [WORK])
        await asyncio.sleep(0.05)
        assert messages.texts == ["“work” has not shut down yet. Its programs may be asking something, or hang."]
        buttons = {b.text(): b for b in messages.findChildren(QPushButton)}
        buttons["Wait"].click()
        await asyncio.sleep(0.05)
        assert lifecycle.waited == [WORK.key]
        assert messages.texts == []
        commands.trigger("shutdown", [WORK])
        await asyncio.sleep(0.05)
        {b.text(): b for b in messages.findChildren(QPushButton)}["Kill…"].click()
        press(await shown_box(), "Kill")
        await asyncio.sleep(0.05)
        assert lifecycle.killed == [WORK.key]
        # A failure is a line with libvirt's own words under Details.
        halted = replace(WORK, state=DomainState.HALTED)
        commands.trigger("start", [halted])
        await asyncio.sleep(0.05)
        assert messages.texts == ["Cannot start “work”: no"]
        assert {"Details", "Copy"} <= {b.text() for b in messages.findChildren(QPushButton) if b.isEnabled()}

    run(loop, work())
