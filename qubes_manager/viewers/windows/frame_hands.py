"""What the user does on a window's frame, and not in the guest's picture: the menu, and where the title bar is ours all
that a title bar is for. Nothing of it reaches the guest."""

from typing import Protocol

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QGuiApplication, QMouseEvent

from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.title_bar import Part, edges_at, part_at

_PLAIN = Qt.CursorShape.ArrowCursor
_DOWN, _TWICE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick


class FrameActs(Protocol):
    """What is done for the user."""

    def menu(self, window: GuestWindow, place: QPoint) -> None:
        """Open the window's menu at a place of the screen."""

    def closing(self, window: GuestWindow) -> None:
        """Ask the application to close the window."""

    def entered(self, window: GuestWindow) -> None:
        """The pointer is in the guest's picture: show the guest's."""

    def left(self, window: GuestWindow, shape: Qt.CursorShape) -> None:
        """The pointer is on the frame, where it has a shape of ours."""

    def keyboard_lost(self) -> None:
        """No window of the guest's has the keyboard any more."""


class FrameHands:
    """Tells what is meant for the frame; a button that went down on it is not the guest's until all are up again."""

    def __init__(self, acts: FrameActs) -> None:
        self._acts = acts
        # The window whose frame has the pointer, and the part of its title bar that a button went down on.
        self._window: GuestWindow | None = None
        self._pressed: Part | None = None
        self._pressed_at = QPointF()
        self._is_held = False

    def takes(self, window: GuestWindow, event: QMouseEvent) -> bool:
        """Whether an event of the pointer was the frame's, which is dealt with then."""
        if event.type() == _TWICE:
            # Nobody else's: Qt tells both presses, too.
            self._double_click(window, event)
            return True
        if window.is_held:
            return False
        if event.type() == _DOWN and event.buttons() == event.button():
            # The window that had the last one may have gone before it was let go.
            self._is_held = False
        if not self._is_held and is_inside(window, event.position()):
            self.leave(window)
            return False
        if event.type() == _DOWN:
            self._is_held = True
            self._press(window, event)
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._release(window, event)
            self._is_held = event.buttons() != Qt.MouseButton.NoButton
        elif self._pressed is Part.MOVE and self._is_pulled(event.position()):
            # Not before: of what the desktop moves no second click is heard.
            self._pressed = None
            self._is_held = not window.startSystemMove()
        elif not self._is_held:
            self._hover(window, event.position())
            # Where the frame has no buttons, the guest sees the pointer leave its picture.
            return window.frame.has_title_bar
        return True

    def leave(self, window: GuestWindow) -> None:
        """The pointer is on a window's frame no more."""
        if self._window is window:
            self._window = None
            window.light(None)

    def _press(self, window: GuestWindow, event: QMouseEvent) -> None:
        part = self._part(window, event.position())
        self._pressed, self._pressed_at = None, event.position()
        if event.button() == Qt.MouseButton.RightButton or (part is Part.MENU and _is_left(event)):
            # The menu takes the pointer: nothing of it comes here until it is closed.
            self._is_held = False
            self._acts.menu(window, event.globalPosition().toPoint())
        elif _is_left(event) and window.frame.has_title_bar:
            if edges := edges_at(event.position(), window.size()):
                self._is_held = not window.startSystemResize(edges)
            else:
                self._pressed = part

    def _double_click(self, window: GuestWindow, event: QMouseEvent) -> None:
        if _is_left(event) and self._is_held and self._pressed is Part.MOVE:
            self._pressed = None
            _toggle_maximised(window)

    def _release(self, window: GuestWindow, event: QMouseEvent) -> None:
        pressed, self._pressed = self._pressed, None
        if pressed is None or pressed is not self._part(window, event.position()):
            return
        match pressed:
            case Part.CLOSE:
                self._acts.closing(window)
            case Part.MAXIMISE:
                _toggle_maximised(window)
            case Part.MINIMISE:
                window.showMinimized()
            case _:
                pass

    def _is_pulled(self, place: QPointF) -> bool:
        distance = (place - self._pressed_at).manhattanLength()
        return distance >= QGuiApplication.styleHints().startDragDistance()

    def _hover(self, window: GuestWindow, place: QPointF) -> None:
        if not window.frame.has_title_bar:
            return
        self._window = window
        self._acts.left(window, _shape(edges_at(place, window.size())))
        window.light(self._part(window, place))

    @staticmethod
    def _part(window: GuestWindow, place: QPointF) -> Part | None:
        return part_at(place, window.width()) if window.frame.has_title_bar else None


def _is_left(event: QMouseEvent) -> bool:
    return event.button() == Qt.MouseButton.LeftButton


def is_inside(window: GuestWindow, place: QPointF) -> bool:
    """Whether a place in the window, in Qt's units, is one of the guest's picture."""
    picture = QRectF(QPointF(window.frame.corner), QSizeF(window.box.width, window.box.height))
    return picture.contains(place * window.ratio)


def _toggle_maximised(window: GuestWindow) -> None:
    if window.windowStates() & Qt.WindowState.WindowMaximized:
        window.showNormal()
    else:
        window.showMaximized()


def _shape(edges: Qt.Edge) -> Qt.CursorShape:
    across = bool(edges & (Qt.Edge.LeftEdge | Qt.Edge.RightEdge))
    along = bool(edges & (Qt.Edge.TopEdge | Qt.Edge.BottomEdge))
    if across and along:
        falls = bool(edges & Qt.Edge.LeftEdge) == bool(edges & Qt.Edge.TopEdge)
        return Qt.CursorShape.SizeFDiagCursor if falls else Qt.CursorShape.SizeBDiagCursor
    if across:
        return Qt.CursorShape.SizeHorCursor
    return Qt.CursorShape.SizeVerCursor if along else _PLAIN
