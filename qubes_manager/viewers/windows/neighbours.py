"""What the windows expect of those beside them."""

from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QPoint, QPointF
from PySide6.QtGui import QInputMethodEvent, QInputMethodQueryEvent, QKeyEvent, QMouseEvent, QTouchEvent, QWheelEvent

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.windows.guest_window import GuestWindow


class Input(Protocol):
    """What the user does over windows, on its way to the guest. Places are of the guest's screen."""

    def key(self, wid: int, event: QKeyEvent, pressed: bool) -> None:
        """A key went down or up."""

    def pointer(self, wid: int, event: QMouseEvent, x: int, y: int) -> None:
        """The pointer moved, or a button went down or up."""

    def wheel(self, wid: int, event: QWheelEvent, x: int, y: int) -> None:
        """The wheel turned."""

    def touch(self, wid: int, event: QTouchEvent, place: Callable[[QPointF], tuple[int, int]]) -> None:
        """The window was touched; *place* turns one of the window into one of the guest's screen."""

    def focus(self, wid: int | None) -> None:
        """Another window has the keyboard; None is none of this guest's."""

    def method(self, wid: int, event: QInputMethodEvent) -> None:
        """An input method has text."""

    def query(self, event: QInputMethodQueryEvent) -> None:
        """An input method asks."""

    def is_at(self, x: int, y: int) -> bool:
        """Whether the guest's pointer is there, as far as it was told."""
        ...

    def release(self, wid: int, x: int, y: int) -> None:
        """The desktop takes the pointer: buttons that are held go up for the guest."""


class Observer(Protocol):
    """Hears what becomes of windows here."""

    def counted(self, count: int) -> None:
        """There are that many windows now."""

    def mapped(self, managed: bool) -> None:
        """One came to the screen."""

    def placed(self, wid: int, box: Box, screen: int) -> None:
        """One came to the screen of that number, or was moved or resized on the host: its *box* is the guest's."""

    def left_fullscreen(self, wid: int) -> None:
        """The user has led one out of full screen by the desktop's means."""

    def menu_wanted(self, window: GuestWindow, place: QPoint) -> None:
        """The user wants a window's menu, at a place of the screen."""

    def pressed(self, wid: int, is_held: bool) -> None:
        """A button of the pointer is held in one, or none any more."""
