"""One window of the guest's on the host's screen: its picture with the frame around it."""

import math
import time
from dataclasses import replace
from typing import Protocol

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QSize, Qt, QTimer
from PySide6.QtGui import (
    QAccessible,
    QAccessibleInterface,
    QEnterEvent,
    QExposeEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QMoveEvent,
    QResizeEvent,
    QSurface,
    QTouchEvent,
    QWheelEvent,
    QWindow,
)

from qubes_manager.viewers.protocol.packets import Box, Draw, Metadata, MoveResize, Resized, Scroll
from qubes_manager.viewers.windows.canvas import Canvas
from qubes_manager.viewers.windows.frame import NO_FRAME, Frame
from qubes_manager.viewers.windows.picture import Picture
from qubes_manager.viewers.windows.title_bar import Part

# A compositor tells places in 256ths of its units, which may be that much of a pixel short of where the pointer is.
_TOO_LITTLE = 1 / 64
_STRETCHED = Qt.WindowState.WindowMaximized | Qt.WindowState.WindowFullScreen
# Unmanaged windows that come and go by themselves.
_TIPS = frozenset({"TOOLTIP", "NOTIFICATION", "DND", "SPLASH"})


class Listener(Protocol):
    """Hears of what becomes of a window on the host's screen."""

    def exposed(self, window: "GuestWindow") -> None:
        """It can be seen now, or not any more."""

    def painted(self, window: "GuestWindow") -> None:
        """All that was drawn into it so far is on the screen."""

    def placed(self, window: "GuestWindow") -> None:
        """It was moved or resized on the host."""

    def state_changed(self, window: "GuestWindow") -> None:
        """The desktop minimised, maximised or restored it, or made it fill the screen."""

    def moved_on(self, window: "GuestWindow") -> None:
        """It is on another screen."""

    def rescaled(self, window: "GuestWindow") -> None:
        """Its screen, or another one that it is on now, has pixels of another size."""

    def reopened(self, window: "GuestWindow") -> None:
        """It is about to come to the screen anew."""

    def closing(self, window: "GuestWindow") -> None:
        """The user, or the desktop, wants it closed, or has closed it where it is a popup."""


class Hands(Protocol):
    """Hears of what the user does over a window."""

    def key(self, window: "GuestWindow", event: QKeyEvent, pressed: bool) -> None:
        """A key over it."""

    def mouse(self, window: "GuestWindow", event: QMouseEvent) -> None:
        """The pointer moved over it, or a button went down or up."""

    def enter(self, window: "GuestWindow", event: QEnterEvent) -> None:
        """The pointer is over it now."""

    def leave(self, window: "GuestWindow") -> None:
        """The pointer is not over it any more."""

    def wheel(self, window: "GuestWindow", event: QWheelEvent) -> None:
        """The wheel turned over it."""

    def touch(self, window: "GuestWindow", event: QTouchEvent) -> None:
        """It was touched."""

    def other(self, window: "GuestWindow", event: QEvent) -> bool:
        """Any other event, of an input method for one; True when it is dealt with."""


class GuestWindow(QWindow):
    """A window whose *box* is the guest's: inside of the frame, in its pixels, of which a unit of Qt's has *ratio*.

    *managed* says that the desktop frames, moves and stacks it; others (menus, tips) the guest places.
    """

    def __init__(
        self, wid: int, box: Box, managed: bool, frame: Frame, ratio: float, listener: Listener, hands: Hands
    ) -> None:
        super().__init__()
        self.wid, self.box, self.managed = wid, box, managed
        self.frame, self.ratio = frame, ratio
        self.picture = Picture(box.width, box.height)
        # What is known of it, each word the last that was said.
        self.metadata = Metadata()
        # Qt does not keep it.
        self.accessible: QAccessibleInterface | None = None
        self.was_mapped = self.is_iconic = self.is_held = False
        # No title bar but one of ours, whatever else it may have.
        self.is_bare = False
        self._listener = listener
        self._hands = hands
        self.setSurfaceType(QSurface.SurfaceType.RasterSurface)
        self._canvas = Canvas(self)
        # What the host's window was asked to be for the guest's size: scaled screens have no window of just any size.
        self._asked = QSize()
        self._screen_ratio = self.screen().devicePixelRatio()
        self._lit: Part | None = None
        self._refused: MoveResize | Resized | None = None
        self.screenChanged.connect(self._moved_on)

    def accessibleRoot(self) -> QAccessibleInterface:
        """What a screen reader is told of it; nobody asks where none runs."""
        return QAccessible.queryAccessibleInterface(self)

    def end(self) -> None:
        """Close it for good."""
        self.hide()
        self._canvas.end()
        self.deleteLater()

    # Sizes.

    def outer_size(self) -> QSize:
        """The size of the host's window for the guest's, in Qt's units: as small as has room for all of it."""
        size = QSize(self.box.width, self.box.height) + self.frame.both
        return QSize(*(-int(-side // self.ratio) for side in (size.width(), size.height())))

    def fit(self) -> None:
        """Give the host's window the size that the guest's has."""
        self._asked = self.outer_size()
        self.resize(self._asked)

    def change_frame(self, frame: Frame) -> None:
        """Wear another frame from now on.

        Its room is taken outside of the guest's picture, unless the desktop has made the window as large as it is.
        """
        before, self.frame = self.frame, frame
        if NO_FRAME in (before, frame):
            self.take_anew()
        elif before.both != frame.both:
            self.refit()
        self.mark_all()

    def refit(self) -> None:
        """Keep the guest's size, as far as it is not the desktop that says how large the window is."""
        if self.windowStates() & _STRETCHED:
            self.take_anew()
        else:
            self.fit()

    def follow_screen(self, ratio: float, *, is_told: bool) -> bool:
        """Get the scale of the screen, where its own has changed; returns whether it is yet to come.

        A window that *is_told* by the desktop waits for that, which may have come before its screen's own (*ratio*
        pixels to a unit); others come to the screen anew.
        """
        before, self._screen_ratio = self._screen_ratio, self.screen().devicePixelRatio()
        if self._screen_ratio == before or not self.isVisible():
            return False
        if not is_told:
            # Not in the midst of the change, and not when the window has gone until then.
            QTimer.singleShot(0, self, self._reopen)
            return True
        return self.devicePixelRatio() != ratio

    def _reopen(self) -> None:
        if self.isVisible():
            self.hide()
            self._canvas.end()
            self.destroy()
            self._canvas.renew()
            self._listener.reopened(self)
            self.setVisible(True)
            self._listener.rescaled(self)

    def _moved_on(self) -> None:
        self._listener.moved_on(self)

    def insists_on(self, refused: MoveResize | Resized) -> bool:
        """Whether the last that was refused was the same: the two would say it to one another for ever."""
        before, self._refused = self._refused, replace(refused, counter=0)
        return self._refused == before

    def take_anew(self) -> None:
        """Have the guest take what the host's window has room for, though that has not changed."""
        self._asked = QSize()
        self._listener.placed(self)

    @property
    def fills_screen(self) -> bool:
        """Whether it is in full screen, and not only on its way there."""
        is_full = bool(self.windowStates() & Qt.WindowState.WindowFullScreen)
        return is_full and self.size() == self.screen().size()

    def light(self, part: Part | None) -> None:
        """Show the pointer to be on a part of the title bar of ours, or on none."""
        if part is not self._lit:
            self._lit = part
            self.redress()

    def redress(self) -> None:
        """Draw the title bar anew where it is ours."""
        if self.frame.has_title_bar:
            self._canvas.mark(QRect(0, 0, round(self.width() * self.ratio), self.frame.top))
            self.requestUpdate()

    def take_size(self) -> bool:
        """Take over the size that the host's window has; False when it is the one that the guest's asked for."""
        if self.size() == self._asked or self.size().isEmpty():
            return False
        self._asked = self.size()
        width, height = self.frame.within(self.size() * self.ratio)
        self.box = Box(self.box.x, self.box.y, width, height)
        self.picture.resize(width, height)
        return True

    def take_box(self, box: Box) -> None:
        """Have the guest's place and size; the host's window is given its own by the platform."""
        self.box = box
        self.picture.resize(box.width, box.height)

    # Drawing.

    def draw(self, packet: Draw | Scroll) -> tuple[QRect, int]:
        """Draw into the picture and remember to paint that: returns the area, and how many microseconds it took."""
        begun = time.perf_counter()
        area = self.picture.draw(packet) if isinstance(packet, Draw) else self.picture.scroll(packet)
        self._canvas.mark(area.translated(self.frame.corner))
        return area, round((time.perf_counter() - begun) * 1e6)

    def mark_all(self) -> None:
        """Say that everything is to be painted, the frame too."""
        self._canvas.mark(QRect(QPoint(), self.size() * self.ratio))

    @property
    def is_menu(self) -> bool:
        """Whether it is of the kind that closes when the user clicks elsewhere."""
        return not self.managed and not _TIPS.intersection(self.metadata.window_types or ())

    @property
    def is_dirty(self) -> bool:
        """Whether something waits to be painted."""
        return self._canvas.is_dirty

    def paint(self) -> None:
        """Put what waits on the screen, as far as the window is to be seen, and tell so."""
        self._canvas.paint(self.picture, self.frame, self.ratio, self._lit)
        self._listener.painted(self)

    def exposeEvent(self, event: QExposeEvent) -> None:
        """Paint what comes to be seen."""
        self._listener.exposed(self)
        if self.isExposed():
            self.mark_all()
            self.paint()

    # Places.

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The desktop, or we, resized it."""
        self.mark_all()
        self._listener.placed(self)

    def moveEvent(self, event: QMoveEvent) -> None:
        """The desktop, or we, moved it."""
        self._listener.placed(self)

    def event(self, event: QEvent) -> bool:
        """Sort out what Qt has no method for."""
        match event.type():
            case QEvent.Type.UpdateRequest:
                self.paint()
                return True
            case QEvent.Type.Close:
                event.ignore()
                self._listener.closing(self)
                return True
            case QEvent.Type.DevicePixelRatioChange:
                self._listener.rescaled(self)
                return super().event(event)
            case QEvent.Type.WindowStateChange:
                self._listener.state_changed(self)
                return True
            case QEvent.Type.Enter:
                assert isinstance(event, QEnterEvent)
                self._hands.enter(self, event)
                return True
            case QEvent.Type.Leave:
                self._hands.leave(self)
                return True
            case QEvent.Type.InputMethod | QEvent.Type.InputMethodQuery:
                return self._hands.other(self, event)
            case _:
                return super().event(event)

    # What the user does.

    def place_of(self, position: QPointF) -> tuple[int, int]:
        """A place in this window, in Qt's units, as one on the guest's screen."""
        x, y = (math.floor(side * self.ratio + _TOO_LITTLE) for side in position.toTuple())
        return self.box.x + x - self.frame.left, self.box.y + y - self.frame.top

    def focusInEvent(self, event: QFocusEvent) -> None:
        """It has the keyboard, which its title bar shows."""
        self.redress()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """It has the keyboard no more."""
        self.redress()
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """A key went down."""
        self._hands.key(self, event, True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """A key went up."""
        self._hands.key(self, event, False)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The pointer moved, or a button went down or up, or twice."""
        self._hands.mouse(self, event)

    mousePressEvent = mouseReleaseEvent = mouseDoubleClickEvent = mouseMoveEvent

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel turned."""
        self._hands.wheel(self, event)

    def touchEvent(self, event: QTouchEvent) -> None:
        """It was touched."""
        self._hands.touch(self, event)
