"""What differs between the desktops' protocols; ``x11.py`` and ``wayland.py`` are the two of them."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from PySide6.QtCore import QPoint, Qt

from qubes_manager.viewers.windows.guest_window import GuestWindow


class Platform(Protocol):
    """How windows come to the screen, get their places and are painted there.

    With *places_known* they are where their boxes say; else nobody but the compositor knows.
    """

    places_known: bool
    # Whether the desktop gives windows a title bar; else they draw one of their own.
    draws_titles: bool
    # Whether Qt hears of a window's scale; else it knows one only of windows that are new (6.11).
    tells_scales: bool

    def prepare(self, window: GuestWindow, domain: str) -> None:
        """Say what is to be said of a window of *domain* before the desktop hears of it: what kind it is, and whose."""

    def parent_of(self, window: GuestWindow, windows: Mapping[int, GuestWindow]) -> GuestWindow | None:
        """The window that an unmanaged one belongs to, of those that are shown."""

    def read_ratios(self) -> Mapping[str, float]:
        """How many pixels a unit of Qt's has on screens, by their names, as far as it is told; may block shortly."""

    def place(self, window: GuestWindow) -> None:
        """Put a window where its box says, as far as the desktop lets us."""

    def place_found(self, window: GuestWindow) -> QPoint:
        """Where the guest is to believe that its picture is: where it really is, or where it wanted to be."""

    def paint_soon(self, window: GuestWindow) -> None:
        """Have what waits painted, at once or when the screen is ready for it."""

    def has_keyboard(self, windows: Iterable[GuestWindow]) -> bool:
        """Whether one of *windows* has the keyboard at this moment."""

    def launched(self, window: GuestWindow, startup_id: str) -> None:
        """Tell the desktop that a window is what was launched with *startup_id*."""


def managed_flags(types: tuple[str, ...]) -> Qt.WindowType:
    """Qt's word for a window of EWMH's *types* that the desktop frames."""
    match types[0] if types else "NORMAL":
        case "DIALOG":
            return Qt.WindowType.Dialog
        case "UTILITY" | "TOOLBAR":
            # Not Tool: that would be above all others, and go when they lose the keyboard.
            return Qt.WindowType.Dialog
        case _:
            return Qt.WindowType.Window
