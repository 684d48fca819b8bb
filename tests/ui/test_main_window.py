"""The window as it is put together, over services without a connection."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import pytest
import qasync
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QMenu, QPushButton
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import HOST_UUID, INTERNAL, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.settings import Settings
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.actions import WINDOW_ACTIONS
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.theme import set_appearance
from qubes_manager.ui.main_window import MainWindow
from tests.ui.conftest import run

WORK = Domain(DomainKey("x", "1"), "work", DomainState.HALTED, config=DomainConfig())
HOST = Domain(DomainKey("x", HOST_UUID), "dom0", DomainState.RUNNING)


@pytest.fixture
def window(qtbot: QtBot, loop: qasync.QEventLoop, services: Services) -> MainWindow:
    window = MainWindow(services, Settings(setup_offered=True))
    qtbot.addWidget(window)
    return window


def test_what_is_alone_is_a_check_box_or_has_a_sub_menu(window: MainWindow) -> None:
    for actions in (window.window_actions, window.domain_actions):
        for spec, action in actions:
            if spec.alone:
                menu = action.menu()
                assert action.isCheckable() or (isinstance(menu, QMenu) and menu.actions()), spec.id
            else:
                assert action.menu() is None, spec.id


def test_every_action_of_the_window_reaches_its_work(window: MainWindow) -> None:
    done: list[str] = []
    for action_id in window.window_commands.work:
        window.window_commands.work[action_id] = partial(done.append, action_id)
    for _spec, action in window.window_actions:
        action.setEnabled(True)
        if not action.menu():
            action.trigger()
    assert done == [spec.id for spec in WINDOW_ACTIONS if not spec.alone]


def test_an_action_of_domains_is_done_to_those_that_are_chosen(
    window: MainWindow, loop: qasync.QEventLoop, services: Services
) -> None:
    done: list[str] = []

    async def note(domains: Sequence[Domain]) -> None:
        done.extend(domain.name for domain in domains)

    async def work() -> None:
        window.commands.work["run"] = note
        services.store.put([WORK, replace(WORK, key=DomainKey("x", "2"), name="bank", state=DomainState.RUNNING)])
        services.store.flush()
        window.view.select([WORK.key, DomainKey("x", "2")])
        window.domain_actions["run"].trigger()

    run(loop, work())
    assert done == ["bank"]


def test_the_line_below_counts_domains_without_the_host(
    window: MainWindow, loop: qasync.QEventLoop, services: Services
) -> None:
    async def work() -> None:
        services.store.set_host(HostStatus("x", HostPhase.CONNECTED))
        services.store.put([HOST])
        services.store.flush()
        assert window.counts.text() == "0 domains, 1 rows shown"
        services.store.put([WORK])
        services.store.flush()

    run(loop, work())
    assert window.counts.text() == "1 domain, 2 rows shown"
    assert window.pages.currentWidget() is window.view
    window.filter.choose("halted")
    assert window.counts.text() == "1 domain, 1 rows shown"
    waits = DomainConfig(klass=DomainClass.DISPOSABLE, features=((INTERNAL, "1"),))
    ready = Domain(DomainKey("x", "2"), "disp1", DomainState.PAUSED, persistent=False, config=waits)

    async def keep_ready() -> None:
        services.store.put([ready])
        services.store.flush()

    run(loop, keep_ready())
    assert window.counts.text() == "1 domain, 1 rows shown, 1 disposable kept ready"
    window.window_actions["waiting"].trigger()
    window.filter.show_all()
    assert window.counts.text() == "1 domain, 3 rows shown, 1 disposable kept ready"


def test_check_boxes_show_and_hide_their_parts(window: MainWindow) -> None:
    for name, part in (("toolbar", window.toolbar), ("details", window.dock), ("applications", window.applications)):
        window.window_actions[name].trigger()
        assert part.isHidden()
        window.window_actions[name].trigger()
        assert not part.isHidden()


@pytest.fixture
def dark() -> Iterator[Callable[[], None]]:
    """Changes the colours to dark ones; they are as before when the test ends."""

    def change() -> None:
        set_appearance("dark")
        QCoreApplication.processEvents()

    yield change
    set_appearance("system")


def test_buttons_in_the_middle_follow_a_change_of_colours(window: MainWindow, dark: Callable[[], None]) -> None:
    def pictures() -> dict[str, QImage]:
        return {b.text(): b.icon().pixmap(32, 32).toImage() for b in window.pages.findChildren(QPushButton)}

    names = {"Show all domains": "close", "New domain…": "new", "Set-up assistant…": "assistant"}
    before = pictures()
    dark()
    now = pictures()
    for text, name in names.items():
        assert now[text] == icon(name).pixmap(32, 32).toImage() != before[text]
