"""Windows on Wayland: nobody knows places of the screen, and menus are popups of the window that they belong to.

The guest goes by the places that it wanted, so that what lies where beside what stays true; the compositor alone knows
where that is on the screen.
"""

import os
from collections.abc import Iterable, Mapping

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.platform import managed_flags
from qubes_manager.viewers.windows.wayland_globals import DECORATIONS, read_globals, read_ratios, tells_scales


class Wayland:
    """Qt's windows in the compositor's units, which may be larger than a pixel."""

    places_known = False

    def __init__(self) -> None:
        found = read_globals(os.environ)
        # Without an answer Qt finds out, and draws one itself where it has to.
        self.draws_titles = not found or DECORATIONS in found
        self.tells_scales = tells_scales(found)

    def prepare(self, window: GuestWindow, domain: str) -> None:
        """Choose the window's role, and the name by which desktops group windows."""
        said = window.metadata
        types = said.window_types or ()
        if window.managed:
            frameless = window.flags() & Qt.WindowType.FramelessWindowHint
            # Qt's own title bar would be grey, and have no menu.
            bare = Qt.WindowType.FramelessWindowHint if window.is_bare else Qt.WindowType(0)
            window.setFlags(managed_flags(types) | frameless | bare)
        elif window.transientParent() is None:
            # A popup of nothing would not be shown.
            window.setFlags(Qt.WindowType.Window | Qt.WindowType.FramelessWindowHint)
        else:
            # Without a grab (Qt.Popup has one): it would keep the keyboard when the user has gone to another domain's
            # window, take clicks that are meant for that one, and those on frames.
            window.setFlags(Qt.WindowType.ToolTip)
        # Qt reads it whenever it makes a window.
        QGuiApplication.setDesktopFileName((said.class_instance or (domain, domain))[1])

    def parent_of(self, window: GuestWindow, windows: Mapping[int, GuestWindow]) -> GuestWindow | None:
        """The newest menu that it touches, else the one that the guest names, else one below it, or any."""
        if window.managed:
            return windows.get(window.metadata.transient_for or 0)
        shown = [other for other in windows.values() if other is not window and other.isVisible()]
        menus = [other for other in shown if other.is_menu and _touch(other.box, window.box)]
        if menus:
            return menus[-1]
        if (named := windows.get(window.metadata.transient_for or 0)) in shown:
            return named
        focused = QGuiApplication.focusWindow()
        managed = sorted((other for other in shown if other.managed), key=lambda other: other is not focused)
        touching = [other for other in managed if _touch(other.box, window.box)]
        return next(iter(touching or managed), None)

    def read_ratios(self) -> Mapping[str, float]:
        """Ask the compositor."""
        return read_ratios(os.environ)

    def place(self, window: GuestWindow) -> None:
        """Resize it; a popup goes where it belongs beside its parent."""
        window.fit()
        parent = window.transientParent()
        if window.managed or not isinstance(parent, GuestWindow):
            return
        away = QPoint(window.box.x - parent.box.x, window.box.y - parent.box.y)
        away += parent.frame.corner - window.frame.corner
        window.setPosition(parent.position() + away / window.ratio)

    def place_found(self, window: GuestWindow) -> QPoint:
        """Where it wanted to be."""
        return QPoint(window.box.x, window.box.y)

    def paint_soon(self, window: GuestWindow) -> None:
        """Paint with the compositor's next frame."""
        window.requestUpdate()

    def has_keyboard(self, windows: Iterable[GuestWindow]) -> bool:
        """Qt knows."""
        return QGuiApplication.focusWindow() is not None

    def launched(self, window: GuestWindow, startup_id: str) -> None:
        """Hand over the launch, which is a token here; Qt takes it from the environment."""
        os.environ["XDG_ACTIVATION_TOKEN"] = startup_id
        window.requestActivate()


def _touch(one: Box, other: Box) -> bool:
    """Whether two boxes overlap, or share an edge."""
    return (
        one.x <= other.x + other.width
        and other.x <= one.x + one.width
        and one.y <= other.y + other.height
        and other.y <= one.y + one.height
    )
