"""Popups as a Wayland compositor has them: parts of a window, which are never on the screen without it.

Who shows one whose window has gone, or takes a window from the screen before its popups, is ended by the compositor.
"""

from collections.abc import Iterable

from qubes_manager.viewers.windows.guest_window import GuestWindow


def hanging_on(window: GuestWindow, windows: Iterable[GuestWindow]) -> list[GuestWindow]:
    """The popups that are seen as parts of a window or of one another, each before those that are parts of it."""
    others = [other for other in windows if not other.managed and other.isVisible()]
    found = [window]
    for parent in found:
        found += [other for other in others if other.transientParent() is parent and other not in found]
    return found[1:]


def take_off(popups: Iterable[GuestWindow]) -> None:
    """Take popups from the screen, in the order in which they can go."""
    for popup in reversed(list(popups)):
        popup.hide()
