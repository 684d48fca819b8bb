"""The dock of applications and the tray: what their menus offer, and what that does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import qasync
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QMenu, QSystemTrayIcon
from pytestqt.qtbot import QtBot

from qubes_manager.core.applications import Application, ApplicationList
from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.domain import Domain, DomainClass, DomainState
from qubes_manager.core.sound import SILENT
from qubes_manager.models.applications_model import Entry
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.ui.applications.app_commands import AppCommands
from qubes_manager.ui.applications.applications_dock import ApplicationsDock, Tray
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from qubes_manager.ui.feedback.transfer_watch import TransferWatch
from tests.ui.applications.conftest import Panel
from tests.ui.conftest import domain, tip_says


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
def triggered() -> list[tuple[str, list[str]]]:
    """Which operations were asked for, and for which domains."""
    return []


@pytest.fixture
def tray(window: QMainWindow, panel: Panel, commands: Launched, triggered: list[tuple[str, list[str]]]) -> Tray:
    def trigger(name: str, domains: Sequence[Domain]) -> None:
        triggered.append((name, [d.name for d in domains]))

    return Tray(window, panel.model, commands, trigger, [QAction("Quit", window)])


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
    panel.lists._lists["work"] = ApplicationList((Application("x", "R&D"),))
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


def test_what_opens_a_dialog_brings_the_window_and_groups_without_applications_are_left_out(
    window: QMainWindow, panel: Panel, commands: Launched
) -> None:
    new = QAction("New d&isposable…", window)
    tray = Tray(window, panel.model, commands, lambda *_: None, [new])
    panel.show(domain("base", template_for_dispvms=True))
    panel.lists._lists.clear()
    panel.model.rebuild()
    assert texts(opened(tray.contextMenu())) == ["No applications yet", "New d&isposable…"]
    new.trigger()
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
        "Copy its clipboard",
        "Paste into it",
        "Run &command…",
        "&Open console…",
        "Application short&cuts…",
        "Refresh a&pplications",
        "&Mute",
        "S&ettings…",
    ]
    actions["S&ettings…"].trigger()
    actions["Run &command…"].trigger()
    assert done == [("settings", ["work"]), ("run", ["work"])]
    halted = dock._actions_for(replace(work, state=DomainState.HALTED))
    assert [a.text() for a in halted if a.isEnabled()] == ["Application short&cuts…", "S&ettings…"]


def test_a_domain_is_muted_and_heard_again_from_its_menus_in_the_tray_and_the_panel(
    tray: Tray,
    panel: Panel,
    window: QMainWindow,
    services: Services,
    commands: Launched,
    triggered: list[tuple[str, list[str]]],
) -> None:
    app = DomainClass.APP
    dock = ApplicationsDock(window, services, commands, lambda name, domains: triggered.append((name, ["panel"])))
    for muted in (False, True):
        work = domain("work", klass=app, muted=muted)
        panel.show(work, domain("own"), domain("silent", klass=app, audiovm=SILENT))
        own, silent, heard = (opened(submenu(tray, row)) for row in range(3))
        assert "&Mute" not in texts([*own, *silent]), "nothing is to be heard of them"
        for action in (heard[-1], next(a for a in dock._actions_for(work) if a.text() == "&Mute")):
            assert (action.text(), action.isChecked(), action.isEnabled()) == ("&Mute", muted, True)
            action.trigger()
    assert triggered == [("mute", ["work"]), ("mute", ["panel"])] * 2


def test_what_crosses_is_shown_by_the_icon_while_it_does(tray: Tray, window: QMainWindow) -> None:
    links = BrokerLinks()
    tray.follow(TransferWatch(links, window))
    link, plain = links.link("test:///x"), tray.icon().cacheKey()

    def tell(status: TransferStatus) -> None:
        link._on_line(status.to_json().encode())

    moving = TransferStatus(1, "work", "vault", "u", "v", FILECOPY, "a<b>.txt", TransferPhase.MOVING, "", 1 << 20)
    tell(replace(moving, phase=TransferPhase.ASKING))
    assert tray.icon().cacheKey() == plain
    for number in range(5):
        tell(replace(moving, transfer=number))
    assert tray.icon().cacheKey() != plain
    lines = tip_says(tray.toolTip()).splitlines()
    assert lines == ["Qubes Manager", *["work → vault: a<b>.txt, 1.0 MiB"] * 3, "and 2 more"]
    for number in range(5):
        tell(replace(moving, transfer=number, phase=TransferPhase.DONE))
    assert (tray.icon().cacheKey(), tip_says(tray.toolTip())) == (plain, "Qubes Manager")
    # What others have to say stands beside it, whatever names are in it.
    tray.say("hearing", ["“<b>work</b>” hears the microphone"])
    assert tip_says(tray.toolTip()).splitlines() == ["Qubes Manager", "“<b>work</b>” hears the microphone"]
    tray.say("hearing", [])
    assert tip_says(tray.toolTip()) == "Qubes Manager"
