"""What is behind the actions of the window; the commands know no window."""

import asyncio

import pytest
import qasync
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.actions import WINDOW_ACTIONS
from qubes_manager.ui.commands.domain_commands import DomainCommands
from qubes_manager.ui.commands.window_commands import WindowCommands
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.table.domain_view import DomainView
from tests.ui.conftest import run


class Surroundings:
    """A message bar above which dialogs may stand, a table, and note of what the commands ask for."""

    def __init__(self, services: Services) -> None:
        self.bar = MessageBar()
        self.asked: list[str] = []
        model = DomainTableModel()
        services.store.on_batch(model.apply)
        self.view = DomainView(model, self.bar)
        tasks, jobs = Tasks(self.bar.show_error), Jobs(self.bar)
        confirmation = Confirmation(self.bar, set())
        self.domain_commands = DomainCommands(
            self.bar, services, tasks, self.bar, confirmation, jobs, self.view.edit_name
        )
        self.commands = WindowCommands(
            self.bar,
            services,
            tasks,
            self.bar,
            jobs,
            self.domain_commands,
            self.view,
            focus_search=lambda: self.asked.append("search"),
            quit_program=lambda: self.asked.append("quit"),
        )

    async def note_devices(self, uri: str) -> None:
        self.asked.append(uri)


@pytest.fixture
def around(qtbot: QtBot, services: Services, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    around = Surroundings(services)
    qtbot.addWidget(around.bar)
    monkeypatch.setattr(around.domain_commands, "show_all_devices", around.note_devices)
    return around


def test_every_action_of_the_window_has_its_work(around: Surroundings) -> None:
    assert set(around.commands.work) == {spec.id for spec in WINDOW_ACTIONS if not spec.alone}


def test_search_and_quit_are_the_surroundings_doing(around: Surroundings) -> None:
    around.commands.trigger("search")
    around.commands.trigger("quit")
    assert around.asked == ["search", "quit"]


def test_the_connection_is_that_of_the_chosen_domain_or_the_first_that_is_connected(
    loop: qasync.QEventLoop, around: Surroundings, services: Services
) -> None:
    async def devices() -> None:
        around.commands.trigger("all-devices")
        await asyncio.sleep(0.01)

    async def choose() -> None:
        work = Domain(DomainKey("c", "1"), "work", DomainState.RUNNING)
        services.store.put([work])
        services.store.flush()
        around.view.select([work.key])

    run(loop, devices())
    assert around.bar.texts == ["No libvirt is connected"]
    for uri, phase in (("a", HostPhase.DISCONNECTED), ("b", HostPhase.CONNECTED), ("c", HostPhase.CONNECTED)):
        services.store.set_host(HostStatus(uri, phase))
    run(loop, devices())
    run(loop, choose())
    run(loop, devices())
    assert around.asked == ["b", "c"]
