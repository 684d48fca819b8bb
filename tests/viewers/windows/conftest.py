"""Windows without a guest and without a screen (Qt's offscreen platform): packets go in, what is said comes out."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF
from PySide6.QtGui import (
    QCursor,
    QGuiApplication,
    QInputMethodEvent,
    QInputMethodQueryEvent,
    QKeyEvent,
    QMouseEvent,
    QTouchEvent,
    QWheelEvent,
)

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.protocol.packets import (
    Box,
    DamageDone,
    Draw,
    FromGuest,
    Metadata,
    NewWindow,
    PixelFormat,
    ToGuest,
)
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.screens import Screens
from qubes_manager.viewers.windows.wayland import Wayland
from qubes_manager.viewers.windows.windows import Windows
from tests.waiting import PATIENCE

BLUE = GuiRules("work", "#3465a4")


@dataclass
class Hands:
    """What was done over windows."""

    focused: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    touched: list[tuple[int, int, int]] = field(default_factory=list)
    pressed: int = 0

    def key(self, wid: int, event: QKeyEvent, pressed: bool) -> None:
        self.keys.append(wid)

    def is_at(self, x: int, y: int) -> bool:
        return bool(self.places) and self.places[-1][1:] == (x, y)

    def pointer(self, wid: int, event: QMouseEvent, x: int, y: int) -> None:
        self.places.append((wid, x, y))
        self.pressed += event.type() == QEvent.Type.MouseButtonPress

    def wheel(self, wid: int, event: QWheelEvent, x: int, y: int) -> None:
        self.places.append((wid, x, y))

    def touch(self, wid: int, event: QTouchEvent, place: Callable[[QPointF], tuple[int, int]]) -> None:
        event.accept()
        self.touched.append((wid, *place(event.points()[0].position())))

    def focus(self, wid: int | None) -> None:
        self.focused.append(wid)

    def method(self, wid: int, event: QInputMethodEvent) -> None: ...

    def query(self, event: QInputMethodQueryEvent) -> None: ...

    def release(self, wid: int, x: int, y: int) -> None:
        self.released.append(wid)


class Guest:
    """A guest's windows: what it *says* is shown at once, and what it is told is in *told*."""

    def __init__(self, application: QGuiApplication, *, draws_titles: bool = True) -> None:
        self._application = application
        # A window that opens under the pointer would hear of it.
        QCursor.setPos(application.primaryScreen().geometry().bottomRight())
        self.menus, self.left = list[int](), list[int]()
        self.told: list[ToGuest] = []
        self.count, self.shown, self.judged = 0, list[bool](), list[tuple[int, Box]]()
        self.held = list[tuple[int, bool]]()
        self.hands = Hands()
        platform = Wayland()
        platform.draws_titles = draws_titles
        self.windows = Windows(BLUE, platform, Screens(application, lambda: None), self.told.append, self.hands, self)

    def say(self, *packets: FromGuest) -> None:
        for packet in packets:
            self.windows.show(packet)
        self.windows.flush()
        self.settle()

    def settle(self) -> None:
        for _ in range(5):
            self._application.processEvents()
            self._application.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    def answers(self, count: int) -> list[DamageDone]:
        """What was answered for drawing, when there are *count* answers."""
        self.until(lambda: sum(isinstance(said, DamageDone) for said in self.told) >= count)
        return [said for said in self.told if isinstance(said, DamageDone)]

    def until(self, check: Callable[[], bool]) -> None:
        """Let the loop turn until *check* holds."""
        end = time.monotonic() + PATIENCE
        while not check():
            assert time.monotonic() < end, self.told
            self.settle()

    def open(self, wid: int, box: Box, managed: bool = True, metadata: Metadata | None = None) -> GuestWindow:
        self.say(NewWindow(wid, box, managed, metadata or Metadata()))
        [window] = [window for window in self.all() if window.wid == wid]
        return window

    def all(self) -> list[GuestWindow]:
        return [window for window in self._application.topLevelWindows() if isinstance(window, GuestWindow)]

    def counted(self, count: int) -> None:
        self.count = count

    def mapped(self, managed: bool) -> None:
        self.shown.append(managed)

    def placed(self, wid: int, box: Box, screen: int) -> None:
        assert screen == 0
        self.judged.append((wid, box))

    def left_fullscreen(self, wid: int) -> None:
        self.left.append(wid)

    def menu_wanted(self, window: GuestWindow, place: QPoint) -> None:
        self.menus.append(window.wid)

    def pressed(self, wid: int, is_held: bool) -> None:
        self.held.append((wid, is_held))


@pytest.fixture
def guest(qapp: QGuiApplication) -> Iterator[Guest]:
    guest = Guest(qapp)
    yield guest
    guest.windows.close()
    guest.settle()


@pytest.fixture
def bare_guest(qapp: QGuiApplication) -> Iterator[Guest]:
    """One on a desktop that gives windows no title bar."""
    guest = Guest(qapp, draws_titles=False)
    yield guest
    guest.windows.close()
    guest.settle()


def picture(wid: int, box: Box, colour: bytes, sequence: int = 1) -> Draw:
    """A picture of one colour (blue, green, red)."""
    pixels = (colour + b"\0") * (box.width * box.height)
    return Draw(wid, box, 4 * box.width, PixelFormat.BGRX, pixels, sequence)
