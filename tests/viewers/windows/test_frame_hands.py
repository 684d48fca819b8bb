"""What is done on a window's frame is the desktop's, and what is done in the picture the guest's."""

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest

from qubes_manager.viewers.protocol.packets import Box, CloseWindow, LostWindow, Metadata, WindowMetadata
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.title_bar import HEIGHT
from qubes_manager.viewers.windows.wayland import Wayland
from tests.viewers.windows.conftest import BLUE, Guest

BOX = Box(100, 100, 300, 200)
LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
PRESS, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease
WIDTH = BOX.width + 2 * BLUE.border_width


def mouse(
    window: GuestWindow,
    kind: QEvent.Type,
    x: float,
    y: float,
    button: Qt.MouseButton = NONE,
    held: Qt.MouseButton = NONE,
) -> None:
    place = QPointF(x, y)
    event = QMouseEvent(kind, place, place, button, held, Qt.KeyboardModifier.NoModifier)
    QGuiApplication.sendEvent(window, event)


def click(window: GuestWindow, x: float, y: float, button: Qt.MouseButton = LEFT) -> None:
    mouse(window, PRESS, x, y, button, button)
    mouse(window, RELEASE, x, y, button)


def double_click(window: GuestWindow, x: float, y: float) -> None:
    """As Qt tells of it."""
    click(window, x, y)
    for kind in (PRESS, QEvent.Type.MouseButtonDblClick):
        mouse(window, kind, x, y, LEFT, LEFT)
    mouse(window, RELEASE, x, y, LEFT)


def test_a_click_on_the_border_is_not_the_guest_s_and_the_right_button_opens_the_menu(guest: Guest) -> None:
    window = guest.open(1, BOX)
    click(window, 2, 100)
    click(window, 2, 100, RIGHT)
    assert (guest.hands.pressed, guest.held, guest.menus) == (0, [], [1])
    click(window, 100, 100, RIGHT)
    assert (guest.hands.pressed, guest.menus) == (1, [1])


def test_what_was_pressed_on_one_side_stays_there_until_it_is_let_go(guest: Guest) -> None:
    window = guest.open(1, BOX)
    mouse(window, PRESS, 2, 100, LEFT, LEFT)
    mouse(window, QEvent.Type.MouseMove, 100, 100, held=LEFT)
    mouse(window, RELEASE, 100, 100, LEFT)
    assert (guest.hands.places, guest.held) == ([], [])
    mouse(window, PRESS, 100, 100, LEFT, LEFT)
    mouse(window, RELEASE, 2, 100, LEFT)
    assert guest.held == [(1, True), (1, False)]
    assert len(guest.hands.places) == 2


def test_the_title_bar_of_ours_has_its_room_above_the_picture(bare_guest: Guest) -> None:
    window = bare_guest.open(1, BOX)
    assert window.flags() & Qt.WindowType.FramelessWindowHint
    assert (window.width(), window.height()) == (WIDTH, BOX.height + HEIGHT + BLUE.border_width)
    mouse(window, QEvent.Type.MouseMove, 6, HEIGHT)
    assert bare_guest.hands.places == [(1, BOX.x, BOX.y)]


def test_an_undecorated_window_has_no_title_bar_and_gets_one_when_it_is_decorated(bare_guest: Guest) -> None:
    window = bare_guest.open(1, BOX, metadata=Metadata(decorations=False))
    assert window.height() == BOX.height + 2 * BLUE.border_width
    bare_guest.say(WindowMetadata(1, Metadata(decorations=True)))
    assert window.height() == BOX.height + HEIGHT + BLUE.border_width
    assert window.flags() & Qt.WindowType.FramelessWindowHint


@pytest.mark.parametrize("away", [0, 40], ids=["on the button", "let go elsewhere"])
def test_the_window_is_closed_by_its_button(bare_guest: Guest, away: int) -> None:
    window = bare_guest.open(1, BOX)
    mouse(window, PRESS, WIDTH - 15, 15, LEFT, LEFT)
    mouse(window, RELEASE, WIDTH - 15 - away, 15, LEFT)
    assert ([said for said in bare_guest.told if isinstance(said, CloseWindow)] == [CloseWindow(1)]) == (not away)
    assert bare_guest.hands.places == []


def test_the_window_is_maximised_and_restored_by_its_button_and_by_a_double_click(bare_guest: Guest) -> None:
    window = bare_guest.open(1, BOX)
    click(window, WIDTH - 45, 15)
    assert window.windowStates() == Qt.WindowState.WindowMaximized
    double_click(window, 100, 15)
    assert window.windowStates() == Qt.WindowState.WindowNoState
    # The guest hears of two presses in its picture, and nothing of this.
    double_click(window, 100, 100)
    assert (window.windowStates(), bare_guest.hands.pressed) == (Qt.WindowState.WindowNoState, 2)


def test_the_menu_is_opened_by_its_button(bare_guest: Guest) -> None:
    window = bare_guest.open(1, BOX)
    mouse(window, PRESS, 15, 15, LEFT, LEFT)
    assert bare_guest.menus == [1]


def test_the_pointer_has_the_frame_s_shape_on_it_and_the_guest_s_in_the_picture(bare_guest: Guest) -> None:
    window = bare_guest.open(1, BOX)
    mouse(window, QEvent.Type.MouseMove, 2, 100)
    assert window.cursor().shape() == Qt.CursorShape.SizeHorCursor
    mouse(window, QEvent.Type.MouseMove, 100, 100)
    assert window.cursor().shape() == Qt.CursorShape.ArrowCursor
    assert bare_guest.hands.places == [(1, BOX.x + 94, BOX.y + 70)]


def test_a_button_of_the_title_bar_is_lit_until_the_pointer_leaves_the_window(bare_guest: Guest) -> None:
    window = bare_guest.open(1, BOX)

    def corner() -> int:
        window.paint()
        assert window._canvas._store
        shown = window._canvas._store.paintDevice()
        assert isinstance(shown, QImage)
        return shown.pixel(WIDTH - 1, 15)

    before = corner()
    mouse(window, QEvent.Type.MouseMove, WIDTH - 15, 15)
    assert corner() != before
    QGuiApplication.sendEvent(window, QEvent(QEvent.Type.Leave))
    assert corner() == before


def test_a_window_that_goes_while_its_frame_is_held_keeps_no_click_from_the_next(guest: Guest) -> None:
    mouse(guest.open(1, BOX), PRESS, 2, 100, LEFT, LEFT)
    guest.say(LostWindow(1))
    click(guest.open(2, BOX), 100, 100)
    assert guest.held == [(2, True), (2, False)]


@pytest.mark.parametrize(("x", "turned"), [(2, []), (50, [(1, BOX.x + 44, BOX.y + 44)])], ids=["frame", "picture"])
def test_the_wheel_turns_nothing_over_the_frame(guest: Guest, x: int, turned: list[tuple[int, int, int]]) -> None:
    window = guest.open(1, BOX)
    place = QPointF(x, 50)
    no_button, no_key = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    phase = Qt.ScrollPhase.NoScrollPhase
    window.wheelEvent(QWheelEvent(place, place, QPoint(), QPoint(0, 120), no_button, no_key, phase, False))
    assert guest.hands.places == turned


def test_the_frame_of_a_menu_opens_ours_where_it_is_over_all_windows_and_takes_no_click_for_the_guest(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest.open(1, BOX)
    popup = guest.open(2, Box(150, 150, 100, 50), managed=False)
    click(popup, 2, 30)
    click(popup, 2, 30, RIGHT)
    assert (guest.hands.pressed, guest.menus) == (0, [])
    monkeypatch.setattr(Wayland, "places_known", True)
    click(popup, 2, 30, RIGHT)
    assert (guest.hands.pressed, guest.menus) == (0, [2])
    click(popup, 50, 30)
    assert guest.hands.pressed == 1


def test_a_finger_in_the_picture_is_the_guest_s_and_holds_the_window(guest: Guest) -> None:
    window = guest.open(1, BOX)
    finger = QTest.createTouchDevice()
    QTest.touchEvent(window, finger).press(0, QPoint(56, 46), window).commit()
    # A drag that leaves the picture stays the guest's.
    QTest.touchEvent(window, finger).move(0, QPoint(2, 46), window).commit()
    QTest.touchEvent(window, finger).release(0, QPoint(2, 46), window).commit()
    assert guest.hands.touched == [(1, 150, 140), (1, 96, 140), (1, 96, 140)]
    assert guest.held == [(1, True), (1, False)]


def test_a_title_bar_of_ours_is_dragged_by_a_finger(bare_guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    window, moved = bare_guest.open(1, BOX), list[GuestWindow]()

    def move(window: GuestWindow) -> bool:
        moved.append(window)
        return True

    monkeypatch.setattr(GuestWindow, "startSystemMove", move)
    finger = QTest.createTouchDevice()
    QTest.touchEvent(window, finger).press(0, QPoint(100, 15), window).commit()
    QTest.touchEvent(window, finger).move(0, QPoint(140, 25), window).commit()
    QTest.touchEvent(window, finger).release(0, QPoint(140, 25), window).commit()
    bare_guest.settle()
    assert (moved, bare_guest.hands.touched, bare_guest.held) == ([window], [], [])
    # Its buttons, too.
    QTest.touchEvent(window, finger).press(0, QPoint(WIDTH - 15, 15), window).commit()
    QTest.touchEvent(window, finger).release(0, QPoint(WIDTH - 15, 15), window).commit()
    bare_guest.settle()
    assert CloseWindow(1) in bare_guest.told
