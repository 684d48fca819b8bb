"""A menu that we draw: how something is chosen in it, by keys and by the pointer, and how it closes."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QMouseEvent, QWindow
from shiboken6 import isValid

from qubes_manager.viewers.windows.menu_window import Entry, MenuWindow

Key, NONE = Qt.Key, Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton


class Menu:
    """An open menu, and what was chosen in it."""

    def __init__(self, parent: QWindow) -> None:
        self.chosen: list[str] = []

        def act(text: str) -> Callable[[], object]:
            return partial(self.chosen.append, text)

        self.window = MenuWindow(
            "work",
            "#3465a4",
            [
                Entry("&Close", act("close")),
                Entry("Save && &go", act("go"), "Ctrl+G"),
                Entry("&Kill", entries=(Entry("&Now", act("kill")), Entry("&Later", act("later")))),
            ],
            parent,
        )
        self.window.pop_up(QPoint(30, 40))

    @property
    def title(self) -> str:
        return self.window.title()

    @property
    def is_open(self) -> bool:
        return self.window.isVisible()

    def keys(self, *keys: Qt.Key) -> None:
        for key in keys:
            text = chr(key).lower() if Key.Key_A <= key <= Key.Key_Z else ""
            self.window.keyPressEvent(QKeyEvent(QEvent.Type.KeyPress, key, NONE, text))

    def place(self, line: int) -> QPointF:
        """The middle of a line; that of the heading is 0."""
        return QPointF(self.window.width() / 2, (line + 0.5) * self.window.height() / 4)

    def mouse(self, kind: QEvent.Type, place: QPointF) -> None:
        event = QMouseEvent(kind, place, place, LEFT, LEFT, NONE)
        match kind:
            case QEvent.Type.MouseMove:
                self.window.mouseMoveEvent(event)
            case QEvent.Type.MouseButtonPress:
                self.window.mousePressEvent(event)
            case _:
                self.window.mouseReleaseEvent(event)

    def click(self, place: QPointF) -> None:
        for kind in (QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
            self.mouse(kind, place)


@pytest.fixture
def menu(qapp: QGuiApplication) -> Iterator[Menu]:
    parent = QWindow()
    parent.show()
    menu = Menu(parent)
    yield menu
    if isValid(menu.window):
        menu.window.hide()
    parent.destroy()


def test_keys_go_through_the_entries_and_round(menu: Menu) -> None:
    said = []
    for key in (Key.Key_Up, Key.Key_Down, Key.Key_Down):
        menu.keys(key)
        said.append(menu.title)
    assert said == ["work: Kill", "work: Close", "work: Save & go"]
    menu.keys(Key.Key_Return)
    assert (menu.chosen, menu.is_open) == (["go"], False)


@pytest.mark.parametrize(("key", "chosen"), [(Key.Key_C, ["close"]), (Key.Key_G, ["go"]), (Key.Key_S, [])])
def test_a_letter_chooses_what_is_marked_with_it(menu: Menu, key: Qt.Key, chosen: list[str]) -> None:
    menu.keys(key)
    assert (menu.chosen, menu.is_open) == (chosen, not chosen)


def test_entries_of_an_entry_take_the_place_of_the_others_until_one_goes_back(menu: Menu) -> None:
    menu.keys(Key.Key_K)
    assert (menu.title, menu.chosen) == ("work: Now", [])
    menu.keys(Key.Key_Escape, Key.Key_Down)
    assert (menu.title, menu.is_open) == ("work: Close", True)
    menu.keys(Key.Key_Up, Key.Key_Right, Key.Key_Down, Key.Key_Return)
    assert (menu.chosen, menu.is_open) == (["later"], False)


def test_escape_closes_it(menu: Menu) -> None:
    menu.keys(Key.Key_Down, Key.Key_Escape)
    assert (menu.chosen, menu.is_open) == ([], False)


def test_a_click_chooses(menu: Menu) -> None:
    menu.click(menu.place(0))
    assert menu.is_open
    menu.click(menu.place(1))
    assert (menu.chosen, menu.is_open) == (["close"], False)


def test_a_double_click_does_not_choose_in_what_comes_instead(menu: Menu) -> None:
    menu.click(menu.place(3))
    menu.click(menu.place(3))
    assert (menu.chosen, menu.is_open) == ([], True)
    menu.click(menu.place(1))
    assert menu.chosen == ["kill"]


def test_the_button_that_opened_it_chooses_only_where_it_is_drawn_to(menu: Menu) -> None:
    # Near an edge of the screen the menu comes to lie below the pointer.
    menu.mouse(QEvent.Type.MouseMove, menu.place(2))
    menu.mouse(QEvent.Type.MouseButtonRelease, menu.place(2))
    assert (menu.chosen, menu.is_open) == ([], True)
    menu.mouse(QEvent.Type.MouseMove, menu.place(1))
    menu.mouse(QEvent.Type.MouseButtonRelease, menu.place(1))
    assert menu.chosen == ["close"]


def test_a_click_beside_it_closes_it(menu: Menu) -> None:
    menu.click(QPointF(-5, 10))
    assert (menu.chosen, menu.is_open) == ([], False)


def test_it_lies_on_the_screen_whole(menu: Menu) -> None:
    screen = menu.window.screen().geometry()
    assert menu.window.position() == QPoint(30, 40)
    menu.window.pop_up(screen.bottomRight())
    assert screen.contains(menu.window.geometry())
