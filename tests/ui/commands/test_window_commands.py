"""What is behind the actions of the window; the commands know no window."""

import asyncio
from types import SimpleNamespace

import pytest

from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.actions import WINDOW_ACTIONS
from qubes_manager.ui.commands.window_commands import WindowCommands
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from tests.ui.conftest import run


class Surroundings:
    """A message bar above which dialogs may stand, and note of what the commands ask for."""

    def __init__(self, services: Services) -> None:
        self.bar = MessageBar()
        self.chosen: list[Domain] = []
        self.asked: list[str] = []
        self.commands = WindowCommands(
            self.bar,
            services,
            Tasks(self.bar.show_error),
            self.bar,
            Jobs(self.bar),
            SimpleNamespace(show_all_devices=self._show_all_devices),
            SimpleNamespace(selected_domains=lambda: self.chosen),
            focus_search=lambda: self.asked.append("search"),
            quit_program=lambda: self.asked.append("quit"),
        )

    async def _show_all_devices(self, uri: str) -> None:
        self.asked.append(uri)


@pytest.fixture
def around(qtbot, services: Services) -> Surroundings:
    around = Surroundings(services)
    qtbot.addWidget(around.bar)
    return around


def test_every_action_of_the_window_has_its_work(around: Surroundings) -> None:
    assert set(around.commands.work) == {spec.id for spec in WINDOW_ACTIONS if not spec.alone}


def test_search_and_quit_are_the_surroundings_doing(around: Surroundings) -> None:
    around.commands.trigger("search")
    around.commands.trigger("quit")
    assert around.asked == ["search", "quit"]


def test_the_connection_is_that_of_the_chosen_domain_or_the_first_that_is_connected(
    loop, around: Surroundings, services: Services
) -> None:
    async def devices() -> None:
        around.commands.trigger("all-devices")
        await asyncio.sleep(0.01)

    run(loop, devices())
    assert around.bar.texts == ["No libvirt is connected"]
    for uri, phase in (("a", HostPhase.DISCONNECTED), ("b", HostPhase.CONNECTED), ("c", HostPhase.CONNECTED)):
        services.store.set_host(HostStatus(uri, phase))
    run(loop, devices())
    around.chosen.append(Domain(DomainKey("c", "1"), "work", DomainState.RUNNING))
    run(loop, devices())
    assert around.asked == ["b", "c"]
