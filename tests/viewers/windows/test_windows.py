"""A guest's windows follow what it says, and it is told what becomes of them."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import (
    QAccessible,
    QColor,
    QEnterEvent,
    QExposeEvent,
    QGuiApplication,
    QImage,
    QMouseEvent,
    QRegion,
    QWindow,
)
from PySide6.QtTest import QTest

from qubes_manager.viewers.protocol.packets import (
    Box,
    ButtonAction,
    CloseWindow,
    ConfigureWindow,
    Cursor,
    DamageDone,
    DefaultCursor,
    Direction,
    InitiateMoveResize,
    LostWindow,
    MapWindow,
    Metadata,
    MoveResize,
    NewWindow,
    NoDraw,
    Resized,
    Scroll,
    SizeConstraints,
    WindowMetadata,
)
from qubes_manager.viewers.windows.accessible import make_accessible
from qubes_manager.viewers.windows.frame import NO_FRAME
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.screens import Screens
from tests.viewers.windows.conftest import BLUE, Guest, picture


def test_a_window_is_as_large_as_the_guest_s_with_the_frame_around_it(guest: Guest) -> None:
    window = guest.open(1, Box(40, 50, 300, 200), metadata=Metadata(title="[work] letters"))
    assert (window.size(), window.title()) == (QSize(312, 212), "[work] letters")
    assert next(said for said in guest.told if isinstance(said, MapWindow)).box == Box(40, 50, 300, 200)
    assert (guest.count, guest.shown) == (1, [True])
    guest.say(LostWindow(1))
    assert (guest.count, guest.all()) == (0, [])


def test_a_window_without_a_title_still_says_whose_it_is(guest: Guest) -> None:
    assert guest.open(1, Box(0, 0, 30, 20)).title() == "[work]"


def test_what_was_drawn_is_answered_when_it_is_on_the_screen(guest: Guest) -> None:
    guest.open(1, Box(0, 0, 30, 20))
    guest.windows.show(picture(1, Box(0, 0, 30, 20), b"\0\0\xff", 7))
    guest.windows.show(Scroll(1, ((0, 0, 30, 10, 0, 5),), 8))
    assert not [said for said in guest.told if isinstance(said, DamageDone)]
    guest.windows.flush()
    done = guest.answers(2)
    assert [(said.sequence, said.wid, said.width, said.height) for said in done] == [(7, 1, 30, 20), (8, 1, 30, 10)]
    assert all(said.microseconds > 0 for said in done)


def test_what_cannot_be_seen_is_answered_too(guest: Guest) -> None:
    guest.say(picture(5, Box(0, 0, 3, 2), b"\0\0\xff", 1), NoDraw(5, Box(0, 0, 3, 2), 2))
    window = guest.open(1, Box(0, 0, 30, 20))
    window.hide()
    guest.settle()
    guest.say(picture(1, Box(0, 0, 30, 20), b"\0\0\xff", 3))
    guest.windows.show(picture(1, Box(0, 0, 30, 20), b"\0\0\xff", 4))
    guest.say(LostWindow(1))
    assert [said.sequence for said in guest.answers(4)] == [1, 2, 3, 4]


def test_answers_do_not_wait_without_end(guest: Guest) -> None:
    guest.open(1, Box(0, 0, 30, 20))
    for sequence in range(1000):
        guest.windows.show(picture(1, Box(0, 0, 1, 1), b"\0\0\xff", sequence))
    guest.windows.flush()
    assert [said for said in guest.told if isinstance(said, DamageDone)][-1].sequence == 999


def test_the_application_resizes_its_window_and_so_does_the_user(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 30, 20))
    guest.told.clear()
    guest.say(Resized(1, 100, 80))
    assert (window.size(), window.picture.size) == (QSize(112, 92), (100, 80))
    guest.say(MoveResize(1, Box(5, 6, 50, 40)))
    assert (window.size(), window.box) == (QSize(62, 52), Box(5, 6, 50, 40))
    assert not [said for said in guest.told if isinstance(said, ConfigureWindow)]
    window.resize(212, 112)
    guest.settle()
    assert [said.box for said in guest.told if isinstance(said, ConfigureWindow)] == [Box(5, 6, 200, 100)]
    assert guest.judged == [(1, Box(0, 0, 30, 20)), (1, Box(5, 6, 200, 100))]
    assert window.picture.size == (200, 100)


def test_the_frame_changes_its_colour_and_its_width_while_the_window_stays(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 30, 20))
    guest.windows.change_rules(replace(BLUE, colour="#cc0000", border_width=10))
    guest.settle()
    assert (window.size(), window.frame.colour, window.box.width) == (QSize(50, 40), "#cc0000", 30)
    assert guest.all() == [window]


def test_sizes_that_an_application_wants_have_the_frame_added(guest: Guest) -> None:
    constraints = SizeConstraints((100, 50), (400, 300), (20, 10), (6, 13))
    window = guest.open(1, Box(0, 0, 200, 100), metadata=Metadata(constraints=constraints))
    assert (window.minimumSize(), window.maximumSize()) == (QSize(112, 62), QSize(412, 312))
    assert (window.baseSize(), window.sizeIncrement()) == (QSize(32, 22), QSize(6, 13))
    guest.say(WindowMetadata(1, Metadata(constraints=SizeConstraints())))
    assert window.minimumSize() == QSize(0, 0) and window.maximumWidth() > 1 << 20


def test_a_menu_lies_beside_its_window_wherever_that_is(guest: Guest) -> None:
    window = guest.open(1, Box(1000, 2000, 300, 200))
    menu = guest.open(2, Box(1010, 2020, 100, 50), managed=False, metadata=Metadata(window_types=("POPUP_MENU",)))
    assert menu.transientParent() is window
    # One with a grab would keep the keyboard, and clicks that are meant for other domains' windows.
    assert menu.flags() & Qt.WindowType.WindowType_Mask == Qt.WindowType.ToolTip
    assert menu.position() - window.position() == QPoint(10, 20)
    inner = guest.open(3, Box(1100, 2030, 80, 50), managed=False)
    assert inner.transientParent() is menu
    assert inner.position() - window.position() == QPoint(100, 30)
    tip = guest.open(4, Box(1050, 2060, 80, 50), managed=False, metadata=Metadata(window_types=("TOOLTIP",)))
    assert tip.flags() & Qt.WindowType.WindowType_Mask == Qt.WindowType.ToolTip
    assert guest.shown == [True, False, False, False]
    assert not [said for said in guest.told if isinstance(said, MapWindow) and said.wid != 1]


def test_who_goes_elsewhere_closes_a_menu_by_a_click_far_from_all_windows(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    window.requestActivate()
    guest.settle()
    guest.open(2, Box(10, 20, 100, 50), managed=False)
    elsewhere = QWindow()
    elsewhere.show()
    elsewhere.requestActivate()
    guest.settle()
    clicks = [said for said in guest.told if isinstance(said, ButtonAction)]
    assert [(said.wid, said.pressed) for said in clicks] == [(1, True), (1, False)]
    assert min(clicks[0].x, clicks[0].y) > 20_000


def test_the_user_s_wish_to_close_a_window_goes_to_the_application(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    window.close()
    assert CloseWindow(1) in guest.told
    assert window.isVisible()


def test_places_of_the_pointer_are_those_of_the_guest_s_screen(guest: Guest) -> None:
    window = guest.open(1, Box(100, 200, 300, 200))
    QTest.mouseMove(window, QPoint(16, 26))
    guest.settle()
    assert guest.hands.places == [(1, 110, 220)]


def test_a_pointer_that_comes_to_a_window_and_lies_still_is_told_unless_a_button_is_held_elsewhere(
    guest: Guest,
) -> None:
    window, other = guest.open(1, Box(100, 200, 300, 200)), guest.open(2, Box(500, 200, 300, 200))
    place = QPointF(16, 26)
    QTest.mousePress(other, Qt.MouseButton.LeftButton, pos=QPoint(16, 26))
    guest.hands.places.clear()
    QGuiApplication.sendEvent(window, QEnterEvent(place, place, place))
    assert guest.hands.places == []
    QTest.mouseRelease(other, Qt.MouseButton.LeftButton, pos=QPoint(16, 26))
    guest.hands.places.clear()
    QGuiApplication.sendEvent(window, QEnterEvent(place, place, place))
    assert guest.hands.places == [(1, 110, 220)]


@pytest.mark.parametrize("ratio", [1.25, 1.5, 1.75, 2])
def test_each_pixel_is_pointed_at_though_a_compositor_tells_places_in_parts_of_its_units(
    guest: Guest, ratio: float
) -> None:
    window = guest.open(1, Box(100, 100, 300, 200))
    window.ratio = ratio
    told = [QPointF(int((x + BLUE.border_width) / ratio * 256) / 256, 50) for x in range(300)]
    assert [window.place_of(place)[0] for place in told] == list(range(100, 400))


def test_both_presses_of_a_double_click_are_told_once(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    for _ in range(2):
        QTest.mouseClick(window, Qt.MouseButton.LeftButton, pos=QPoint(6, 6))
    guest.settle()
    assert (guest.hands.pressed, {*guest.hands.places}) == (2, {(1, 0, 0)})


def test_keys_over_a_menu_are_for_its_window(guest: Guest) -> None:
    guest.open(1, Box(0, 0, 300, 200))
    menu = guest.open(2, Box(10, 20, 100, 50), managed=False)
    QTest.keyClick(menu, Qt.Key.Key_A)
    assert guest.hands.keys == [1, 1]


def test_a_window_is_moved_by_hand_only_while_a_button_is_held_in_it(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    moves = list[GuestWindow]()

    def move(window: GuestWindow) -> bool:
        moves.append(window)
        return True

    monkeypatch.setattr(GuestWindow, "startSystemMove", move)
    guest.say(InitiateMoveResize(1, 10, 10, Direction.MOVE, 1))
    assert not moves
    QTest.mousePress(window, Qt.MouseButton.LeftButton, pos=QPoint(16, 16))
    guest.say(InitiateMoveResize(1, 10, 10, Direction.MOVE, 1))
    assert (moves, guest.hands.released) == ([window], [1])
    QTest.mouseRelease(window, Qt.MouseButton.LeftButton, pos=QPoint(16, 16))


def test_the_pointer_has_the_guest_s_picture_in_the_window_that_it_is_in(guest: Guest) -> None:
    window, other = guest.open(1, Box(0, 0, 300, 200)), guest.open(2, Box(0, 0, 30, 20))
    # Qt tells of no movement to where the pointer is already, as a test before may have left it.
    for place in (QPoint(5, 5), QPoint(16, 26)):
        QTest.mouseMove(window, place)
    guest.say(Cursor(1, 2, 4, 4, b"\0\0\xff\xff" * 16))
    assert (window.cursor().pixmap().size(), window.cursor().hotSpot()) == (QSize(4, 4), QPoint(1, 2))
    # On X each window has one of its own: a guest must not make hundreds by a word.
    assert other.cursor().shape() == Qt.CursorShape.ArrowCursor
    QTest.mouseMove(other, QPoint(16, 16))
    guest.settle()
    assert other.cursor().hotSpot() == QPoint(1, 2)
    guest.say(DefaultCursor())
    assert other.cursor().shape() == Qt.CursorShape.ArrowCursor
    guest.say(LostWindow(2), Cursor(1, 2, 4, 4, b"\0\0\xff\xff" * 16))
    assert guest.open(3, Box(0, 0, 30, 20)).cursor().hotSpot() == QPoint(1, 2)


def test_a_window_that_the_pointer_comes_to_while_it_closes_has_no_pointer_of_the_guest_s(guest: Guest) -> None:
    window, place = guest.open(1, Box(0, 0, 300, 200)), QPointF(16, 26)
    guest.windows.show(LostWindow(1))
    QGuiApplication.sendEvent(window, QEnterEvent(place, place, place))
    assert guest.hands.places == []
    none = Qt.MouseButton.NoButton
    moved = QMouseEvent(QEvent.Type.MouseMove, place, place, none, none, Qt.KeyboardModifier.NoModifier)
    QGuiApplication.sendEvent(window, moved)
    guest.settle()
    guest.say(DefaultCursor())


def test_a_dialog_keeps_no_key_from_its_window_where_the_host_s_keys_and_its_frame_are(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    said = Metadata(transient_for=1, window_types=("DIALOG",))
    dialog = guest.open(2, Box(10, 10, 100, 100), metadata=said)
    assert (dialog.transientParent(), dialog.modality()) == (window, Qt.WindowModality.NonModal)
    QTest.keyClick(window, Qt.Key.Key_F11)
    QTest.mousePress(window, Qt.MouseButton.RightButton, pos=QPoint(2, 100))
    QTest.mouseRelease(window, Qt.MouseButton.RightButton, pos=QPoint(2, 100))
    guest.settle()
    assert (guest.hands.keys, guest.menus) == ([1, 1], [1])


def test_a_picture_that_is_larger_than_its_window_leaves_the_frame_to_be_seen(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    # As where the desktop has not answered yet, or does not let it grow.
    window.take_box(Box(0, 0, 900, 700))
    window.draw(picture(1, Box(0, 0, 900, 700), b"\0\0\xff"))
    window.paint()
    assert window._canvas._store
    shown = window._canvas._store.paintDevice()
    assert isinstance(shown, QImage)
    blue = QColor(BLUE.colour).rgb()
    assert {shown.pixel(311, 100), shown.pixel(306, 100), shown.pixel(100, 211), shown.pixel(100, 206)} == {blue}
    assert shown.pixel(305, 205) != blue


def test_a_window_that_was_gone_before_it_was_seen_ends_nothing(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    guest.windows.show(LostWindow(1))
    window.exposeEvent(QExposeEvent(QRegion(0, 0, 300, 200)))
    guest.windows.show(NewWindow(1, Box(50, 60, 300, 200), True, Metadata()))
    guest.told.clear()
    guest.windows.placed(window)
    assert guest.told == []
    guest.settle()


def test_a_window_that_the_desktop_led_out_of_full_screen_is_told_of(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200), metadata=Metadata(fullscreen=True))
    assert window.windowStates() == Qt.WindowState.WindowFullScreen
    window.setWindowStates(Qt.WindowState.WindowNoState)
    guest.until(lambda: bool(guest.left))
    assert guest.left == [1]


def test_a_window_is_judged_again_on_another_screen_and_when_screens_have_changed(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    guest.until(lambda: bool(guest.judged))
    # On Wayland it has the same place and size there.
    guest.judged.clear()
    window.screenChanged.emit(window.screen())
    assert guest.judged == [(1, window.box)]
    guest.windows.screens_changed()
    assert guest.judged == [(1, window.box)] * 2


def test_an_application_that_insists_on_a_size_that_was_refused_is_told_once(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    guest.until(lambda: bool(guest.judged))
    guest.told.clear()
    for wanted in (Resized(1, 9000, 200, 1), Resized(1, 9000, 200, 2), Resized(1, 9000, 300, 3), Resized(2, 5, 5)):
        guest.windows.tell_place(wanted)
    assert guest.told == [ConfigureWindow(1, window.box)] * 2


def test_packets_about_windows_that_are_not_there_do_nothing(guest: Guest) -> None:
    guest.say(LostWindow(9), Resized(9, 1, 1), WindowMetadata(9, Metadata(title="x")), MoveResize(9, Box(0, 0, 1, 1)))
    assert (guest.all(), guest.told) == ([], [])


def test_a_screen_reader_is_told_whose_window_it_is_and_its_title(guest: Guest) -> None:
    QAccessible.installFactory(make_accessible)
    window = guest.open(1, Box(0, 0, 300, 200), metadata=Metadata(title="[work] letters"))
    told = window.accessibleRoot()
    assert (told.text(QAccessible.Text.Name), told.role()) == ("[work] letters", QAccessible.Role.Window)
    guest.say(WindowMetadata(1, Metadata(title="[work] more letters")))
    assert told.text(QAccessible.Text.Name) == "[work] more letters"


def test_a_window_opens_in_the_state_that_it_is_said_to_have_without_a_frame_in_full_screen(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200), metadata=Metadata(fullscreen=True))
    assert window.windowStates() == Qt.WindowState.WindowFullScreen
    assert window.frame == NO_FRAME
    guest.say(WindowMetadata(1, Metadata(fullscreen=False)))
    assert window.windowStates() == Qt.WindowState.WindowNoState
    assert window.frame.colour == "#3465a4"
    maximized = guest.open(2, Box(0, 0, 300, 200), metadata=Metadata(maximized=True))
    assert maximized.windowStates() == Qt.WindowState.WindowMaximized


def test_an_unmanaged_window_that_belongs_to_none_is_shown_too(guest: Guest) -> None:
    alone = guest.open(1, Box(10, 20, 100, 50), managed=False)
    assert alone.transientParent() is None
    assert alone.flags() & Qt.WindowType.WindowType_Mask == Qt.WindowType.Window
    assert alone.flags() & Qt.WindowType.FramelessWindowHint
    assert alone.size() == QSize(112, 62)


def test_a_window_that_is_not_seen_yet_changes_no_scale_that_the_compositor_tells(
    guest: Guest, qapp: QGuiApplication
) -> None:
    window, changes = guest.open(1, Box(0, 0, 300, 200)), list[float]()
    for read, ratio in (({window.screen().name(): 1.25}, 1.25), ({}, 1)):
        screens = Screens(qapp, lambda: changes.append(1), lambda read=read: read)  # type: ignore[misc]
        screens.learn(window)
        assert screens.ratio == ratio
    assert not changes


def test_a_window_that_was_told_of_its_scale_before_its_screen_does_not_wait_for_it(guest: Guest) -> None:
    window = guest.open(1, Box(40, 50, 300, 200))
    for ratio, waits in ((1.0, False), (2.0, True)):
        window._screen_ratio = 2.0
        assert window.follow_screen(ratio, is_told=True) is waits


def test_a_window_that_closes_just_when_its_screen_has_another_scale_is_asked_no_more(
    guest: Guest, capfd: pytest.CaptureFixture[str]
) -> None:
    window = guest.open(1, Box(40, 50, 300, 200))
    window._screen_ratio = 2.0
    assert window.follow_screen(1.0, is_told=False)
    guest.say(LostWindow(1))
    guest.settle()
    assert "already deleted" not in capfd.readouterr().err


def test_a_menu_that_opens_under_a_pointer_which_lies_still_stays_the_keyboard_s(guest: Guest) -> None:
    window = guest.open(1, Box(100, 200, 300, 200))
    QGuiApplication.sendEvent(window, QEnterEvent(QPointF(16, 26), QPointF(16, 26), QPointF(16, 26)))
    assert guest.hands.places == [(1, 110, 220)]
    menu = guest.open(2, Box(105, 210, 90, 80), managed=False)
    still, moved = QPointF(11, 16), QPointF(31, 46)
    QGuiApplication.sendEvent(menu, QEnterEvent(still, still, still))
    assert guest.hands.places == [(1, 110, 220)]
    QGuiApplication.sendEvent(menu, QEnterEvent(moved, moved, moved))
    assert guest.hands.places[1:] == [(2, 130, 250)]
