"""What stands in the menu of a domain's window: what the user may do with it, and with its domain."""

from collections.abc import Iterator
from functools import partial
from typing import Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QScreen, QWindow

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.key_sequence import parse_key_sequence
from qubes_manager.core.viewer_messages import Wish
from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.menu_window import Entry


class Acts(Protocol):
    """What the entries do."""

    def close(self) -> None:
        """Ask the application to close the window; one that is not managed is taken away."""

    def toggle_fullscreen(self) -> None:
        """Let the window fill the screen, or end that."""

    def move_to(self, screen: QScreen) -> None:
        """Put the window on another screen."""

    def wish(self, what: Wish) -> None:
        """Have something done with the domain."""


def entries(window: QWindow, rules: GuiRules, acts: Acts) -> list[Entry]:
    """The menu's entries for a window as it is now."""
    name = _plain(rules.shown or rules.domain)
    # A menu, or the like, can be taken away alone.
    is_managed = not isinstance(window, GuestWindow) or window.managed
    found = list(_of_window(window, rules, acts)) if is_managed else []
    if is_managed and (others := _other_screens(window)):
        screens = (Entry(_plain(screen.name()), partial(acts.move_to, screen)) for screen in others)
        found.append(Entry("Mo&ve to", entries=tuple(screens)))
    # Chosen in two steps: what was not saved is lost.
    kill = Entry("Kill it now: what is not saved is lost", partial(acts.wish, Wish.KILL))
    return [
        *found,
        Entry("&Close", acts.close),
        Entry(f"&Shut down {name}", partial(acts.wish, Wish.SHUT_DOWN)),
        Entry(f"&Kill {name}", entries=(kill,)),
    ]


def _of_window(window: QWindow, rules: GuiRules, acts: Acts) -> Iterator[Entry]:
    states = window.windowStates()
    is_full = bool(states & Qt.WindowState.WindowFullScreen)
    yield Entry("Mi&nimise", window.showMinimized)
    if not is_full:
        is_maximised = bool(states & Qt.WindowState.WindowMaximized)
        yield Entry("&Restore", window.showNormal) if is_maximised else Entry("Ma&ximise", window.showMaximized)
    if is_full or rules.allow_fullscreen:
        keys = parse_key_sequence(rules.fullscreen_keys).spoken
        yield Entry("Leave &full screen" if is_full else "&Full screen", acts.toggle_fullscreen, keys)


def _other_screens(window: QWindow) -> list[QScreen]:
    """Where else it could be; on Wayland nobody but the compositor places windows."""
    if QGuiApplication.platformName().startswith("wayland"):
        return []
    return [screen for screen in QGuiApplication.screens() if screen is not window.screen()]


def _plain(text: str) -> str:
    """A text whose “&” is one."""
    return text.replace("&", "&&")
