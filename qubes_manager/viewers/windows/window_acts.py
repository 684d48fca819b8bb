"""What the entries of a window's menu do."""

from collections.abc import Callable

from PySide6.QtCore import QPoint
from PySide6.QtGui import QScreen

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Wish, Wished
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.menu_window import MenuWindow
from qubes_manager.viewers.windows.user_hands import owner_of
from qubes_manager.viewers.windows.window_menu import entries


class WindowActs:
    """The menu's acts on one *window*: those that are ours to do are done, the others are handed on."""

    def __init__(
        self,
        window: GuestWindow,
        close: Callable[[GuestWindow], object],
        toggle_fullscreen: Callable[[int], object],
        report: Callable[[Wished], object],
    ) -> None:
        self._window = window
        # Nobody else keeps it while it is open.
        self._menu: MenuWindow | None = None
        self._close, self._toggle_fullscreen, self._report = close, toggle_fullscreen, report

    def close(self) -> None:
        """Have the window closed."""
        self._close(self._window)

    def toggle_fullscreen(self) -> None:
        """Let the window fill the screen where it may, or end that."""
        self._toggle_fullscreen(self._window.wid)

    def move_to(self, screen: QScreen) -> None:
        """Put the window on another screen, as far from its corner as on its own."""
        away = self._window.position() - self._window.screen().geometry().topLeft()
        self._window.setPosition(screen.geometry().topLeft() + away)

    def wish(self, what: Wish) -> None:
        """Have something done with the domain."""
        self._report(Wished(what))

    def pop_up(self, rules: GuiRules, place: QPoint) -> None:
        """Open the menu at a *place* of the screen."""
        heading = rules.shown or rules.domain
        self._menu = MenuWindow(heading, rules.colour, entries(self._window, rules, self), owner_of(self._window))
        # Its entries are about a window that is there.
        self._window.destroyed.connect(self._menu.hide)
        self._menu.pop_up(place)
