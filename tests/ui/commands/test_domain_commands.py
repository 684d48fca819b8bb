"""What is behind the actions of domains, and what is offered when a guest does not shut down."""

from dataclasses import replace

import qasync
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.lifecycle import Lifecycle, ShutdownTimedOut
from qubes_manager.ui.actions import DOMAIN_ACTIONS
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from tests.build import domain
from tests.ui.conftest import press, run, shown_box
from tests.waiting import until

WORK = domain()


class HangingGuests(Lifecycle):
    """Stands in for guests that hang: those take a minute each."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.hosts, services.store, services.roots, services.lists.refresh)
        self.killed: list[DomainKey] = []
        self.waited: list[DomainKey] = []

    async def shutdown(self, key: DomainKey, timeout: float = 0) -> None:
        assert timeout == 60
        raise ShutdownTimedOut(replace(WORK, key=key), timeout)

    async def wait_halted(self, key: DomainKey, timeout: float = 0) -> None:
        self.waited.append(key)

    async def start(self, key: DomainKey, passphrase: str = "") -> None:
        raise HostCallFailed("cannot start “work”: no", "libvirt said no")

    async def kill(self, key: DomainKey) -> None:
        self.killed.append(key)


def test_a_shutdown_that_takes_long_offers_to_wait_or_to_kill(
    loop: qasync.QEventLoop, qtbot: QtBot, services: Services
) -> None:
    messages = MessageBar()
    qtbot.addWidget(messages)

    async def work() -> None:
        services.store.put([WORK])
        services.lifecycle = lifecycle = HangingGuests(services)
        confirmation = Confirmation(messages, {"shutdown", "start"})
        commands = DomainCommands(
            messages, services, Tasks(messages.show_error), messages, confirmation, Jobs(messages), lambda: None
        )
        commands.trigger("shutdown", [WORK])
        await until(lambda: messages.texts)
        assert messages.texts == ["“work” has not shut down yet. Its programs may be asking something, or hang."]
        buttons = {b.text(): b for b in messages.findChildren(QPushButton)}
        buttons["Wait"].click()
        await until(lambda: lifecycle.waited and not messages.texts)
        assert lifecycle.waited == [WORK.key]
        commands.trigger("shutdown", [WORK])
        await until(lambda: messages.texts)
        {b.text(): b for b in messages.findChildren(QPushButton)}["Kill…"].click()
        press(await shown_box(), "Kill")
        await until(lambda: lifecycle.killed)
        assert lifecycle.killed == [WORK.key]
        # A failure is a line with libvirt's own words under Details.
        halted = replace(WORK, state=DomainState.HALTED)
        commands.trigger("start", [halted])
        await until(lambda: messages.texts)
        assert messages.texts == ["Cannot start “work”: no"]
        assert {"Details", "Copy"} <= {b.text() for b in messages.findChildren(QPushButton) if b.isEnabled()}

    run(loop, work())


def test_every_action_of_domains_has_its_operation_and_its_work(qtbot: QtBot, services: Services) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    tasks, confirmation = Tasks(bar.show_error), Confirmation(bar, set())
    commands = DomainCommands(bar, services, tasks, bar, confirmation, Jobs(bar), lambda: None)
    assert set(commands.work) == {spec.id for spec in DOMAIN_ACTIONS if not spec.alone}
    assert set(OPERATIONS) == {spec.id for spec in DOMAIN_ACTIONS}
    # The label has a sub-menu; nothing else goes without its work.
    assert {spec.id for spec in DOMAIN_ACTIONS if spec.alone} == {"label"}
