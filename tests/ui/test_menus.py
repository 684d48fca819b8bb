"""Menu bar, tool bar and context menu, as the specs of the actions have them."""

import pytest
from PySide6.QtWidgets import QMainWindow, QMenu, QToolBar
from pytestqt.qtbot import QtBot

from qubes_manager.ui.actions import DOMAIN_ACTIONS, WINDOW_ACTIONS, ActionSet, Menu
from qubes_manager.ui.menus import ChoiceMenu, fill_menu, fill_menu_bar, fill_tool_bar

LINE = "-"
DOMAIN = [
    "&Start or resume",
    "&Pause",
    "Shut &down",
    "&Restart",
    "&Kill",
    "D&iscard saved state…",
    LINE,
    "Send &files to it…",
    "Copy files from i&t…",
    "-",
    "Run &command…",
    "&Open console…",
    "Open s&erial console…",
    "Application short&cuts…",
    "Refresh a&pplications",
    "De&vices",
    "&Logs",
    LINE,
    "Copy its clipboard",
    "Paste into it",
    "Paste the host’s clipboard into it…",
    LINE,
    "&Clone…",
    "&Volumes…",
    "Make a &template of it…",
    "&Update guest tools…",
    LINE,
    "Re&name",
    "Set l&abel",
    "A&utostart",
    "&Mute",
    "Fire&wall…",
    "S&ettings…",
    LINE,
    "De&lete…",
]
MENU_BAR = {
    "&File": [
        "&New domain…",
        "New d&isposable…",
        "&Set-up assistant…",
        "New &template…",
        "Make &demo domains",
        LINE,
        "&View files in a disposable…",
        "&Edit files in a disposable…",
        "Make &clean copies…",
        "What &crosses now…",
        LINE,
        "&Quit",
    ],
    "&Domain": DOMAIN,
    "D&evices": ["&All devices", "&Give or take", "Add an &image file…"],
    "&Clipboard": ["&Paste to…", "Copy to the &host’s clipboard…", "C&lear the inter-domain clipboard"],
    "&View": [
        "&Search",
        "&Filter",
        "Disposables that &wait",
        "&Columns",
        "&Appearance",
        "&Refresh",
        "&Tool bar",
        "&Applications",
        "De&vices",
        "&Window options…",
        "&Policy…",
        "&Details",
    ],
    "&Logs": ["&Program and libvirt logs"],
    "&Help": ["&About"],
}


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    return window


@pytest.fixture
def sets(window: QMainWindow) -> tuple[ActionSet, ActionSet]:
    return ActionSet(window, WINDOW_ACTIONS, lambda _id: None), ActionSet(window, DOMAIN_ACTIONS, lambda _id: None)


def texts(menu: QMenu | QToolBar) -> list[str]:
    return [LINE if action.isSeparator() else action.text() for action in menu.actions()]


def test_the_menu_bar_has_every_action_in_its_place(window: QMainWindow, sets: tuple[ActionSet, ActionSet]) -> None:
    fill_menu_bar(window.menuBar(), *sets)
    menus = [top.menu() for top in window.menuBar().actions()]
    found = {menu.title(): texts(menu) for menu in menus if isinstance(menu, QMenu)}
    assert found == MENU_BAR
    assert list(found) == list(MENU_BAR)
    shown = sum(text != LINE for menu in MENU_BAR.values() for text in menu)
    assert shown == len(WINDOW_ACTIONS) + len(DOMAIN_ACTIONS)


def test_each_menu_has_a_key_of_its_own() -> None:
    keys = [menu.value[menu.value.index("&") + 1].casefold() for menu in Menu]
    assert len(set(keys)) == len(keys)


def test_the_context_menu_is_the_menu_of_domains(window: QMainWindow, sets: tuple[ActionSet, ActionSet]) -> None:
    menu = QMenu(window)
    fill_menu(menu, sets[1], Menu.DOMAIN)
    assert texts(menu) == DOMAIN


def test_the_tool_bar_has_what_says_so_with_names_for_screen_readers(
    window: QMainWindow, sets: tuple[ActionSet, ActionSet]
) -> None:
    bar = QToolBar(window)
    fill_tool_bar(bar, *sets)
    new, line, *rest = bar.actions()
    assert (new, line.isSeparator()) == (sets[0]["new"], True)
    shown = ["start", "pause", "shutdown", "restart", "kill", "run", "console", "devices", "logs", "settings"]
    assert rest == [sets[1][name] for name in shown]
    names = [bar.widgetForAction(action).accessibleName() for action in (new, *rest)]
    assert names[:3] == ["New domain…", "Start or resume", "Pause"]
    assert all(names)


def test_of_a_menu_of_choices_one_holds(window: QMainWindow) -> None:
    menu = ChoiceMenu({"a": "First", "b": "Second"}, window)
    picked: list[str] = []
    menu.picked.connect(picked.append)
    assert menu.chosen == ""
    menu.choose("b")
    assert (menu.chosen, picked) == ("b", [])
    menu.actions()[0].trigger()
    assert (menu.chosen, picked) == ("a", ["a"])
    assert [action.isChecked() for action in menu.actions()] == [True, False]
