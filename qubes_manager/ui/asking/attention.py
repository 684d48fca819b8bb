"""Whether the user can have meant it: the window has had the focus for a while, and the key was not down before."""

import ctypes
from collections.abc import Callable

from PySide6.QtCore import QAbstractNativeEventFilter, QByteArray, QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QWindow
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

# Milliseconds for which the window must have had the focus without a break.
REST = 1000
# X tells of a key that repeats as if it came up and went down again at once, and Qt recognizes that now and then only
# (seen with 6.11). No finger is up for so few milliseconds.
_AT_ONCE = 5
# From X.h: events that tell of the focus, and those of them that are about a window within ours or the pointer.
_FOCUS_IN, _FOCUS_OUT = 9, 10
_NOTIFY_INFERIOR, _NOTIFY_POINTER = 2, 5
_ANSWERING = {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape}
_PRESSING = {*_ANSWERING, Qt.Key.Key_Space, Qt.Key.Key_Select}


class Attention(QObject):
    """Watches a window. ``is_given`` says whether an answer counts now, ``changed`` tells of it.

    A key that answers does so only when it went down while attention was given: whoever types elsewhere when the
    window comes, or leans on a key, answers nothing.
    """

    changed = Signal(bool)

    def __init__(self, window: QWidget, rest: int = REST) -> None:
        super().__init__(window)
        self._window = window
        self._down: set[int] = set()
        self._came_up: dict[int, int] = {}
        self.is_given = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(rest)
        self._timer.timeout.connect(lambda: self._set(given=self._window.isActiveWindow()))
        self._x_focus = _XFocus(self._on_x_focus)
        if application := QApplication.instance():
            application.installEventFilter(self)
            application.installNativeEventFilter(self._x_focus)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the focus, and keep keys from answering that were down already."""
        if watched is self._window and event.type() == QEvent.Type.WindowActivate:
            # Of what came up meanwhile nobody told us, and what is still down tells of itself by repeating.
            self._down.clear()
            self._begin_again()
        elif watched is self._window and event.type() == QEvent.Type.WindowDeactivate:
            self._timer.stop()
            self._set(given=False)
        # A key comes to the window first, and then to one widget after the other.
        elif isinstance(event, QKeyEvent) and isinstance(watched, QWindow):
            if event.type() == QEvent.Type.KeyPress:
                return not self._goes_down(event) and self._answers(event)
            if event.type() == QEvent.Type.KeyRelease:
                self._down.discard(_code(event))
                self._came_up[_code(event)] = event.timestamp()
        return False

    def _on_x_focus(self) -> None:
        if self._window.isActiveWindow():
            self._begin_again()

    def _begin_again(self) -> None:
        self._set(given=False)
        self._timer.start()

    def _goes_down(self, event: QKeyEvent) -> bool:
        """Whether the key of a press goes down now, and attention is given."""
        code = _code(event)
        since = event.timestamp() - self._came_up.get(code, -_AT_ONCE - 1)
        was_down = event.isAutoRepeat() or code in self._down or since <= _AT_ONCE
        self._down.add(code)
        return self.is_given and not was_down

    def _answers(self, event: QKeyEvent) -> bool:
        is_button = isinstance(self._window.focusWidget(), QAbstractButton)
        return event.key() in (_PRESSING if is_button else _ANSWERING)

    def _set(self, *, given: bool) -> None:
        if given is not self.is_given:
            self.is_given = given
            self.changed.emit(given)


class _XFocus(QAbstractNativeEventFilter):
    """Tells each time when the focus goes or comes: Qt passes over it when it comes back within a tenth of a second."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def nativeEventFilter(self, kind: QByteArray | bytes | bytearray | memoryview, message: int) -> tuple[bool, int]:
        """Look at an event of X (xcb_focus_in_event_t: its type, then the detail); all go on to Qt."""
        if kind == b"xcb_generic_event_t":
            head = ctypes.string_at(int(message), 2)
            if head[0] & 0x7F in (_FOCUS_IN, _FOCUS_OUT) and head[1] not in (_NOTIFY_INFERIOR, _NOTIFY_POINTER):
                self._tell()
        return False, 0


def _code(event: QKeyEvent) -> int:
    return event.nativeScanCode() or event.key()
