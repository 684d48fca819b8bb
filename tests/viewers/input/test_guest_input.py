"""Qt's events, as what the guest hears of them."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import (
    QInputMethodEvent,
    QInputMethodQueryEvent,
    QKeyEvent,
    QMouseEvent,
    QPointingDevice,
    QWheelEvent,
    QWindow,
)
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Crossing, Pressed
from qubes_manager.viewers.input.guest_input import GuestInput
from qubes_manager.viewers.input.layouts import Layouts
from qubes_manager.viewers.input.xkb import keysym_of
from qubes_manager.viewers.protocol.packets import (
    ButtonAction,
    Focus,
    KeyAction,
    KeyboardLayout,
    KeymapChanged,
    LayoutChanged,
    PointerPosition,
    ToGuest,
    WheelMotion,
)

RULES = GuiRules("work", "#3465a4")
NONE, SHIFT, CONTROL, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
LEFT, BACK, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.BackButton, Qt.MouseButton.NoButton
GROUP = 1 << 13
CONTROL_SHIFT, SUPER = 5, 64


class User:
    """Acts over the windows of a domain, and sees what comes of it."""

    def __init__(self, platform: str) -> None:
        self.said: list[ToGuest] = []
        self.crossings: list[Pressed] = []
        self.full_screens: list[int] = []
        self.now = 100.0
        self.buttons = NO_BUTTON
        self.layouts = Layouts("offscreen")
        self.layouts.layout = KeyboardLayout("us,ru")
        self.input = GuestInput(
            self.said.append,
            RULES,
            self.layouts,
            platform,
            self.crossings.append,
            self.full_screens.append,
            lambda: self.now,
        )
        self.input.focus(7)

    def key(self, kind: str, keycode: int, keysym: int, state: int = 0, *, repeats: bool = False, wid: int = 7) -> None:
        pressed = kind == "press"
        which = QEvent.Type.KeyPress if pressed else QEvent.Type.KeyRelease
        self.input.key(wid, QKeyEvent(which, 0, NONE, keycode, keysym, state, "", repeats, 1), pressed)

    def mouse(
        self,
        kind: QEvent.Type,
        button: Qt.MouseButton,
        x: int,
        y: int,
        held: Qt.KeyboardModifier = NONE,
    ) -> None:
        place = QPointF(x, y)
        self.buttons = {
            QEvent.Type.MouseButtonPress: self.buttons | button,
            QEvent.Type.MouseButtonRelease: self.buttons & ~button,
        }.get(kind, self.buttons)
        event = QMouseEvent(kind, place, place, button, self.buttons, held, QPointingDevice.primaryPointingDevice())
        self.input.pointer(7, event, x, y)


@pytest.fixture(params=["xcb", "wayland"])
def user(request: pytest.FixtureRequest, qtbot: QtBot) -> Iterator[User]:
    user = User(request.param)
    assert user.said == [Focus(7)]
    user.said.clear()
    yield user


@pytest.fixture
def on_x11(qtbot: QtBot) -> User:
    user = User("xcb")
    user.said.clear()
    return user


def test_a_key_that_repeats_does_so_in_the_guest(user: User) -> None:
    user.key("press", 24, 0x71)
    for _ in range(3):
        user.key("release", 24, 0x71, repeats=True)
        user.key("press", 24, 0x71, repeats=True)
    user.key("release", 24, 0x71)
    assert user.said == [KeyAction(7, "q", True, (), 0x71, "", 24), KeyAction(7, "q", False, (), 0x71, "", 24)]


def test_x_tells_the_layout_with_each_key(on_x11: User) -> None:
    on_x11.key("press", 65, 0x20, GROUP)
    assert on_x11.said == [KeyAction(7, "space", True, (), 0x20, "", 65, 1)]


def test_on_wayland_the_layout_is_known_by_its_letters(qtbot: QtBot) -> None:
    user = User("wayland")
    user.said.clear()
    for letter in "йq":
        user.key("press", 24, keysym_of(letter))
        user.key("release", 24, keysym_of(letter))
    # The space is where it was.
    user.key("press", 65, 0x20)
    assert [message.group for message in user.said if isinstance(message, KeyAction)] == [1, 1, 0, 0, 0]


def test_the_clipboard_s_keys_tell_when_and_for_how_long_the_window_had_had_the_keyboard(user: User) -> None:
    user.now = 100.25
    user.key("press", 54, 0x43, CONTROL_SHIFT)
    user.key("press", 54, 0x43, CONTROL_SHIFT, repeats=True)
    user.key("release", 54, 0x63)
    user.input.focus(8)
    user.now = 101.0
    user.key("press", 55, 0x56, CONTROL_SHIFT, wid=8)
    assert user.crossings == [Pressed(Crossing.COPY, 100250, 250), Pressed(Crossing.PASTE, 101000, 750)]
    assert user.said == [Focus(8)]


def test_a_window_whose_key_comes_before_its_focus_has_had_the_keyboard_for_no_time(user: User) -> None:
    user.now = 110.0
    user.key("press", 54, 0x43, CONTROL_SHIFT, wid=9)
    assert user.crossings == [Pressed(Crossing.COPY, 110000, 0)]


def test_a_window_that_has_the_keyboard_again_at_once_never_lost_it_for_the_guest(user: User, qtbot: QtBot) -> None:
    user.key("press", 24, 0x71)
    user.said.clear()
    user.input.focus(None)
    assert user.said == [KeyAction(7, "q", False, (), 0x71, "", 24)]
    user.now = 105.0
    user.input.focus(7)
    # For the clipboard it has it anew.
    user.key("press", 54, 0x43, CONTROL_SHIFT)
    assert user.crossings == [Pressed(Crossing.COPY, 105000, 0)]
    user.input.focus(None)
    qtbot.waitUntil(lambda: Focus(0) in user.said)
    assert user.said[1:] == [Focus(0)]
    user.input.focus(7)
    assert user.said[2:] == [Focus(7)]


def test_the_key_of_full_screen_is_the_host_s_and_can_be_another_one(user: User) -> None:
    user.key("press", 95, 0xFFC8, SUPER)
    user.key("release", 95, 0xFFC8, SUPER)
    user.input.change_rules(GuiRules("work", "#3465a4", fullscreen_keys="Shift-F11"))
    user.key("press", 95, 0xFFC8, SUPER)
    assert user.full_screens == [7]
    assert [message.keyname for message in user.said if isinstance(message, KeyAction)] == ["F11"]


def test_another_layout_of_the_host_s_is_told(user: User) -> None:
    user.layouts.changed(KeyboardLayout("fr"))
    assert user.said == [LayoutChanged(KeyboardLayout("fr"))]


def test_text_of_an_input_method_is_typed_and_what_it_proposes_is_not(user: User) -> None:
    proposal = QInputMethodEvent("ni", [])
    user.input.method(7, proposal)
    assert user.said == [] and proposal.isAccepted()
    done = QInputMethodEvent()
    done.setCommitString("你")
    user.input.method(7, done)
    changed, *strokes = user.said
    assert isinstance(changed, KeymapChanged)
    assert [key.keyname for key in strokes if isinstance(key, KeyAction)] == ["U4F60", "U4F60"]


def test_input_methods_are_where_a_sandbox_reaches_them(user: User) -> None:
    user.mouse(QEvent.Type.MouseButtonPress, LEFT, 40, 50)
    query = QInputMethodQueryEvent(Qt.InputMethodQuery.ImEnabled | Qt.InputMethodQuery.ImCursorRectangle)
    user.input.query(query)
    assert query.value(Qt.InputMethodQuery.ImEnabled) == user.input._has_methods
    assert query.value(Qt.InputMethodQuery.ImCursorRectangle).topLeft() == QPoint(40, 50)


def test_buttons_go_by_their_numbers_in_x_and_with_what_is_held(user: User) -> None:
    press, release, move = QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseMove
    user.mouse(press, BACK, 5, 6, CONTROL | ALT)
    user.mouse(move, NO_BUTTON, 7, 6)
    user.mouse(release, BACK, 7, 6, SHIFT)
    held = ("control", "mod1")
    assert user.said == [
        PointerPosition(7, 5, 6, held),
        ButtonAction(7, 8, True, 5, 6, held, (8,)),
        PointerPosition(7, 7, 6, (), (8,)),
        PointerPosition(7, 7, 6, ("shift",), (8,)),
        ButtonAction(7, 8, False, 7, 6, ("shift",), ()),
    ]


def test_a_click_after_one_whose_end_nobody_saw_is_a_click(user: User) -> None:
    user.mouse(QEvent.Type.MouseButtonPress, LEFT, 5, 6)
    user.said.clear()
    # The menu closed under the pointer, and the button went up over nothing.
    user.buttons = NO_BUTTON
    user.mouse(QEvent.Type.MouseButtonPress, LEFT, 8, 9)
    assert [message for message in user.said if isinstance(message, ButtonAction)] == [
        ButtonAction(7, 1, False, 8, 9, (), ()),
        ButtonAction(7, 1, True, 8, 9, (), (1,)),
    ]


def test_what_the_desktop_takes_goes_up(user: User) -> None:
    user.mouse(QEvent.Type.MouseButtonPress, LEFT, 5, 6)
    user.said.clear()
    user.input.release(7, 8, 9)
    assert user.said == [ButtonAction(7, 1, False, 8, 9, (), ())]


@pytest.mark.parametrize(
    ("pixels", "angle", "parts"),
    [((0, 0), (0, -120), (0, 1000)), ((0, 0), (30, 0), (-250, 0)), ((0, -15), (0, 0), (0, 1000))],
    ids=["notch", "quarter", "pixels"],
)
def test_the_wheel_turns_in_parts(
    user: User, pixels: tuple[int, int], angle: tuple[int, int], parts: tuple[int, int]
) -> None:
    place = QPointF(3, 4)
    phase = Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(place, place, QPoint(*pixels), QPoint(*angle), NO_BUTTON, SHIFT, phase, False)
    user.input.wheel(7, event, 3, 4)
    assert user.said == [WheelMotion(7, *parts, 3, 4, ("shift",))]


class Touched(QWindow):
    """A window that hands on what it is touched with."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user

    def touchEvent(self, event: object) -> None:
        self._user.input.touch(7, event, lambda place: (int(place.x()) + 100, int(place.y())))  # type: ignore[arg-type]


def test_a_finger_is_the_pointer(user: User) -> None:
    window = Touched(user)
    window.resize(200, 200)
    window.show()
    screen = QTest.createTouchDevice()
    for act, place in (("press", QPoint(10, 20)), ("move", QPoint(30, 20)), ("release", QPoint(30, 20))):
        finger = QTest.touchEvent(window, screen, False)
        getattr(finger, act)(0, place, window)
        finger.commit()
    window.close()
    assert user.said == [
        PointerPosition(7, 110, 20),
        ButtonAction(7, 1, True, 110, 20, (), (1,)),
        PointerPosition(7, 130, 20, (), (1,)),
        ButtonAction(7, 1, False, 130, 20, (), ()),
    ]
