"""Qt's events over windows, as what is said to the guest."""

import math
import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QPointF, QRect, QSize, Qt, QTimer
from PySide6.QtGui import (
    QEventPoint,
    QInputMethodEvent,
    QInputMethodQueryEvent,
    QKeyEvent,
    QMouseEvent,
    QTouchEvent,
    QWheelEvent,
)

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Crossing, Pressed
from qubes_manager.viewers.input.host_keys import HostAction, HostKeys
from qubes_manager.viewers.input.keyboard import Key, Keyboard
from qubes_manager.viewers.input.layouts import Layouts
from qubes_manager.viewers.input.pointer import Pointer
from qubes_manager.viewers.protocol.packets import ToGuest

_BUTTONS = {
    Qt.MouseButton.LeftButton: 1,
    Qt.MouseButton.MiddleButton: 2,
    Qt.MouseButton.RightButton: 3,
    Qt.MouseButton.BackButton: 8,
    Qt.MouseButton.ForwardButton: 9,
}
# Of the others the pointer's events do not tell: the guest is told not to expect them there.
_MODIFIERS = (
    (Qt.KeyboardModifier.ShiftModifier, "shift"),
    (Qt.KeyboardModifier.ControlModifier, "control"),
    (Qt.KeyboardModifier.AltModifier, "mod1"),
    (Qt.KeyboardModifier.MetaModifier, "mod4"),
)
# Of X's state of the keyboard: the eight modifiers, and above them which layout it has.
_MODIFIER_BITS, _GROUP_SHIFT, _GROUP_BITS = 0xFF, 13, 3
# How far two fingers move for as much as a notch of the wheel, in Qt's units: an eighth of its degrees.
_EIGHTHS_PER_PIXEL = 8
# For as long nobody has the keyboard until the guest is told so, in milliseconds.
_WITHOUT_MS = 200
_CROSSINGS = {HostAction.COPY: Crossing.COPY, HostAction.PASTE: Crossing.PASTE}


class GuestInput:
    """All that the user does over a domain's windows.

    *on_crossing* hears of keys of the inter-domain clipboard, *on_full_screen* of that key, with the window's number.
    """

    def __init__(
        self,
        say: Callable[[ToGuest], object],
        rules: GuiRules,
        layouts: Layouts,
        platform: str,
        on_crossing: Callable[[Pressed], object],
        on_full_screen: Callable[[int], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host_keys = HostKeys(rules)
        self._pointer = Pointer(say)
        self._layouts = layouts
        self._keyboard = Keyboard(say, self._host_keys, self._on_host_key, layouts.layout)
        layouts.changed = self._keyboard.change_layout
        # X tells the layout of each key. On Wayland there are input methods, which need no more than its socket; on X
        # they are beyond the sandbox, and dead keys go as keys.
        self._on_x11 = platform == "xcb"
        self._has_methods = platform == "wayland"
        self._on_crossing = on_crossing
        self._on_full_screen = on_full_screen
        self._clock = clock
        # Since when the window that has the keyboard has it; not yet when none has.
        self._since = math.inf
        self._without = QTimer(interval=_WITHOUT_MS, singleShot=True)
        self._without.timeout.connect(lambda: self._keyboard.focus(0))
        self._pressed_at = QPointF()

    def change_rules(self, rules: GuiRules) -> None:
        """Keep other keys from now on."""
        self._host_keys.change_rules(rules)

    def focus(self, wid: int | None) -> None:
        """Another window has the keyboard; None is none of this guest's.

        Of that the guest hears a little later, if it is so still: desktops take the keyboard away and give it back at
        once, which xpra 3.1 may do in the other order. No key stays down meanwhile.
        """
        self._without.stop()
        if wid is None:
            self._since = math.inf
            self._keyboard.release_all()
            self._without.start()
        elif wid != self._keyboard.focused or self._since == math.inf:
            self._since = self._clock()
            self._keyboard.focus(wid)

    def key(self, wid: int, event: QKeyEvent, pressed: bool) -> None:
        """A key went down or up. Those that repeat do so in the guest."""
        if event.isAutoRepeat():
            return
        if not pressed:
            self._keyboard.release(self._key_of(event))
            return
        if wid != self._keyboard.focused or self._since == math.inf:
            # It has the keyboard, or there would be no key: what tells of it is still on its way.
            self.focus(wid)
        # Word of another layout may still be on its way.
        self._layouts.read()
        self._keyboard.press(wid, self._key_of(event))

    def _key_of(self, event: QKeyEvent) -> Key:
        state = event.nativeModifiers()
        return Key(
            event.nativeScanCode(),
            event.nativeVirtualKey(),
            state & _MODIFIER_BITS,
            state >> _GROUP_SHIFT & _GROUP_BITS if self._on_x11 else None,
            event.text(),
        )

    def _on_host_key(self, action: HostAction) -> None:
        if crossing := _CROSSINGS.get(action):
            now = self._clock()
            self._on_crossing(Pressed(crossing, int(now * 1000), int((now - self._since) * 1000)))
        elif action is HostAction.FULL_SCREEN:
            self._on_full_screen(self._keyboard.focused)

    def method(self, wid: int, event: QInputMethodEvent) -> None:
        """An input method has text; what it only proposes is its own window's to show."""
        event.accept()
        if text := event.commitString():
            self._keyboard.type_text(wid, text)

    def query(self, event: QInputMethodQueryEvent) -> None:
        """An input method asks. Where the guest writes is not known: mostly it is where the user clicked."""
        event.setValue(Qt.InputMethodQuery.ImEnabled, self._has_methods)
        event.setValue(Qt.InputMethodQuery.ImCursorRectangle, QRect(self._pressed_at.toPoint(), QSize(1, 1)))
        event.setValue(Qt.InputMethodQuery.ImHints, Qt.InputMethodHint.ImhNoPredictiveText)
        event.accept()

    def pointer(self, wid: int, event: QMouseEvent, x: int, y: int) -> None:
        """The pointer moved, or a button went down or up."""
        modifiers = _modifiers(event.modifiers())
        button = _BUTTONS.get(event.button())
        is_release = event.type() is QEvent.Type.MouseButtonRelease
        held = {number for name, number in _BUTTONS.items() if name & event.buttons()}
        # What this event itself is about is dealt with below.
        self._pointer.keep_down(wid, held | {button or 0} if is_release else held - {button or 0}, x, y, modifiers)
        self._pointer.move(wid, x, y, modifiers)
        if button and is_release:
            self._pointer.release(wid, button, x, y, modifiers)
        elif button and event.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
            self._pressed_at = event.position()
            self._pointer.press(wid, button, x, y, modifiers)

    def release(self, wid: int, x: int, y: int) -> None:
        """The desktop takes the pointer: buttons that are held go up for the guest."""
        self._pointer.release_all(wid, x, y)

    def is_at(self, x: int, y: int) -> bool:
        """Whether the guest's pointer is there, as far as it was told."""
        return self._pointer.is_at(x, y)

    def wheel(self, wid: int, event: QWheelEvent, x: int, y: int) -> None:
        """The wheel turned, or two fingers moved over a touchpad."""
        turned = event.angleDelta()
        if turned.isNull():
            turned = event.pixelDelta() * _EIGHTHS_PER_PIXEL
        self._pointer.turn(wid, -turned.x(), -turned.y(), x, y, _modifiers(event.modifiers()))

    def touch(self, wid: int, event: QTouchEvent, place: Callable[[QPointF], tuple[int, int]]) -> None:
        """The window was touched: a finger is the pointer."""
        event.accept()
        gone = QEventPoint.State.Released
        is_cancelled = event.type() is QEvent.Type.TouchCancel
        fingers = [
            (point.id(), not is_cancelled and point.state() is not gone, *place(point.position()))
            for point in event.points()
        ]
        begins = event.type() is QEvent.Type.TouchBegin
        self._pointer.touch(wid, fingers, _modifiers(event.modifiers()), begins=begins)


def _modifiers(held: Qt.KeyboardModifier) -> tuple[str, ...]:
    return tuple(name for bit, name in _MODIFIERS if held & bit)
