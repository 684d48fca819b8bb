"""What the user does over windows, handed on: what is on the frame is the frame's, the rest the guest's."""

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import (
    QEnterEvent,
    QGuiApplication,
    QInputMethodEvent,
    QInputMethodQueryEvent,
    QKeyEvent,
    QMouseEvent,
    QTouchEvent,
    QWheelEvent,
    QWindow,
)

from qubes_manager.viewers.windows.frame_hands import FrameActs, FrameHands, is_inside
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.neighbours import Input, Observer


class UserHands:
    """Hears of all windows; *acts* does what is done on frames."""

    def __init__(self, inputs: Input, observer: Observer, acts: FrameActs) -> None:
        self._input = inputs
        self._observer = observer
        self._acts = acts
        self._frame = FrameHands(acts)
        self._touches_frame = False
        self._focused: int | None = None
        application = QGuiApplication.instance()
        assert isinstance(application, QGuiApplication)
        application.focusWindowChanged.connect(self._focus_changed)

    def key(self, window: GuestWindow, event: QKeyEvent, pressed: bool) -> None:
        """Keys over a menu are for the window that it belongs to: the guest decides who gets them."""
        self._input.key(keyboard_of(window), event, pressed)

    def mouse(self, window: GuestWindow, event: QMouseEvent) -> None:
        """The pointer, and whether a button is held in the window; on the frame it is not the guest's."""
        if self._frame.takes(window, event):
            return
        self._acts.entered(window)
        self._hold(window, event.buttons() != Qt.MouseButton.NoButton)
        self._input.pointer(window.wid, event, *window.place_of(event.position()))

    def enter(self, window: GuestWindow, event: QEnterEvent) -> None:
        """The pointer came, or something under it: nobody says that it moved, and it may lie still."""
        # Whose button is held has the pointer until it is let go, and one that has just closed has none.
        # A menu that opens under one that lies still stays the keyboard's: the guest would take it for a movement.
        is_told = not window.managed and self._input.is_at(*window.place_of(event.position()))
        if window.isVisible() and not is_told and QGuiApplication.mouseButtons() == Qt.MouseButton.NoButton:
            none, held = Qt.MouseButton.NoButton, QGuiApplication.keyboardModifiers()
            places = (event.position(), event.scenePosition(), event.globalPosition())
            self.mouse(window, QMouseEvent(QEvent.Type.MouseMove, *places, none, none, held))

    def leave(self, window: GuestWindow) -> None:
        """The pointer went, perhaps from the midst of it."""
        self._frame.leave(window)

    def release(self, window: GuestWindow, x: int, y: int) -> None:
        """The desktop takes the pointer, at *x*, *y* of the guest's screen, to move a window."""
        self._hold(window, False)
        self._input.release(window.wid, x, y)

    def _hold(self, window: GuestWindow, is_held: bool) -> None:
        if is_held != window.is_held:
            window.is_held = is_held
            self._observer.pressed(window.wid, is_held)

    def wheel(self, window: GuestWindow, event: QWheelEvent) -> None:
        """The wheel; over the frame it turns nothing."""
        if is_inside(window, event.position()):
            self._input.wheel(window.wid, event, *window.place_of(event.position()))

    def touch(self, window: GuestWindow, event: QTouchEvent) -> None:
        """A finger: in the picture it is the guest's pointer.

        One that came down on the frame Qt makes a mouse of, since nobody takes it, and so it drags a title bar of ours.
        """
        if event.type() is QEvent.Type.TouchBegin:
            self._touches_frame = not is_inside(window, event.points()[0].position())
        if self._touches_frame:
            event.ignore()
            return
        is_down = event.type() in (QEvent.Type.TouchBegin, QEvent.Type.TouchUpdate)
        self._hold(window, is_down)
        self._input.touch(window.wid, event, window.place_of)

    def other(self, window: GuestWindow, event: QEvent) -> bool:
        """What input methods ask and say."""
        match event:
            case QInputMethodEvent():
                self._input.method(keyboard_of(window), event)
            case QInputMethodQueryEvent():
                self._input.query(event)
            case _:
                return False
        return True

    def _focus_changed(self, window: QWindow | None) -> None:
        focused = keyboard_of(window) if isinstance(window, GuestWindow) else None
        if focused != self._focused:
            self._focused = focused
            self._input.focus(focused)
            if focused is None:
                self._acts.keyboard_lost()


def owner_of(window: GuestWindow) -> GuestWindow:
    """The window that a menu belongs to, by way of other menus or not; others are their own."""
    while not window.managed and isinstance(parent := window.transientParent(), GuestWindow):
        window = parent
    return window


def keyboard_of(window: GuestWindow) -> int:
    """The number of the window that has the keyboard when this one has it: a menu has that of its window."""
    return owner_of(window).wid
