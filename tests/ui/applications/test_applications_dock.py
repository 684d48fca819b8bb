"""The dock of applications and the tray: what their menus offer, and what that does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import qasync
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QMenu, QSystemTrayIcon
from pytestqt.qtbot import QtBot

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.models.applications_model import Entry
from qubes_manager.services.assembly import Services
from qubes_manager.ui.applications.app_commands import AppCommands
from qubes_manager.ui.applications.applications_dock import ApplicationsDock, Tray
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from tests.ui.applications.conftest import Panel
from tests.ui.conftest import domain


class Launched(AppCommands):
    """Notes what is started."""

    def __init__(self, window: QMainWindow, services: Services) -> None:
        async def start(_key: object) -> None:
            raise AssertionError("nothing is started here")

        bar = MessageBar()
        bar.setParent(window)
        super().__init__(window, services, Tasks(bar.show_error), bar, start)
        self.started: list[tuple[str, str]] = []

    def launch(self, entry: Entry) -> None:
        self.started.append((entry.domain.name, entry.application.id))


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    return window


@pytest.fixture
def commands(window: QMainWindow, services: Services) -> Launched:
    return Launched(window, services)


@pytest.fixture
def tray(window: QMainWindow, panel: Panel, commands: Launched) -> Tray:
    quit_action = QAction("Quit", window)
    return Tray(window, panel.model, commands, [quit_action])


def opened(menu: QMenu) -> list[QAction]:
    """What a menu offers when it opens, lines left out."""
    menu.aboutToShow.emit()
    return [action for action in menu.actions() if not action.isSeparator()]


def submenu(tray: Tray, row: int) -> QMenu:
    menu = opened(tray.contextMenu())[row].menu()
    assert isinstance(menu, QMenu)
    return menu


def texts(actions: Sequence[QAction]) -> list[str]:
    return [action.text() for action in actions]


def test_the_tray_has_a_menu_for_each_domain_and_a_click_starts_there(
    tray: Tray, panel: Panel, commands: Launched
) -> None:
    assert texts(opened(tray.contextMenu())) == ["No applications yet", "Quit"]
    panel.show(domain("work", favourites=("xterm",)), domain("bank", menu=("firefox",)))
    assert texts(opened(tray.contextMenu())) == ["Favourites", "bank", "work", "Quit"]
    favourites = submenu(tray, 0)
    assert texts(opened(favourites)) == texts(opened(favourites)) == ["work: XTerm"]
    [firefox] = opened(submenu(tray, 1))
    firefox.trigger()
    opened(submenu(tray, 2))[0].trigger()
    assert commands.started == [("bank", "firefox"), ("work", "editor")]


def test_an_ampersand_of_a_guest_s_is_one_and_no_key(tray: Tray, panel: Panel) -> None:
    panel.show(domain("work"))
    panel.lists._lists["work"] = (Application("x", "R&D"),)
    panel.model.rebuild()
    assert texts(opened(submenu(tray, 0))) == ["R&&D"]


def test_more_domains_than_a_screen_has_room_for_are_left_to_the_window(
    tray: Tray, panel: Panel, window: QMainWindow
) -> None:
    panel.show(*(domain(f"vm{number:02}") for number in range(45)))
    *shown, more, _quit = opened(tray.contextMenu())
    assert (len(shown), more.text()) == (40, "5 more in the window…")
    more.trigger()
    assert window.isVisible()


def test_only_a_plain_click_on_the_icon_brings_the_window(tray: Tray, window: QMainWindow) -> None:
    tray.activated.emit(QSystemTrayIcon.ActivationReason.Context)
    assert not window.isVisible()
    tray.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)
    assert window.isVisible()


def test_a_domain_s_menu_in_the_panel_offers_what_applies_and_does_it_there(
    window: QMainWindow, loop: qasync.QEventLoop, services: Services, commands: Launched
) -> None:
    done: list[tuple[str, list[str]]] = []

    def trigger(name: str, domains: Sequence[Domain]) -> None:
        done.append((name, [d.name for d in domains]))

    dock = ApplicationsDock(window, services, commands, trigger)
    work = domain("work")
    actions = {action.text(): action for action in dock._actions_for(work)}
    assert list(actions) == [
        "Run &command…",
        "&Open console…",
        "Application short&cuts…",
        "Refresh a&pplications",
        "S&ettings…",
    ]
    actions["S&ettings…"].trigger()
    actions["Run &command…"].trigger()
    assert done == [("settings", ["work"]), ("run", ["work"])]
    halted = dock._actions_for(replace(work, state=DomainState.HALTED))
    assert [a.text() for a in halted if a.isEnabled()] == ["Application short&cuts…", "S&ettings…"]
