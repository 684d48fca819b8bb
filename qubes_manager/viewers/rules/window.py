"""What is known of a window of the guest's, and whose child it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qubes_manager.viewers.protocol.packets import Box, SizeConstraints, WindowIcon
from qubes_manager.viewers.rules.covering import ANYWHERE

_MAX_DEPTH = 16


@dataclass(slots=True)
class Window:
    """A window as it is on the host; *box* is the inside of its frame, *where* on which screen that is."""

    wid: int
    box: Box
    managed: bool
    decorated: bool
    where: int = ANYWHERE
    maximized: bool = False
    fullscreen: bool = False
    # Where it was before it went to full screen, and will be again.
    before: Box | None = None
    is_held: bool = False
    # A window of the same guest, or 0.
    parent: int = 0
    # As the guest gave them.
    title: str = ""
    icon_title: str | None = None
    icon: WindowIcon | None = None
    constraints: SizeConstraints | None = None

    @property
    def pixels(self) -> int:
        """How many pixels are kept for it."""
        icon = self.icon.width * self.icon.height if self.icon else 0
        return self.box.width * self.box.height + icon


def find_parent(windows: Mapping[int, Window], wid: int, managed: bool, wanted: int) -> int:
    """The window that *wid* may belong to when it wants to be *wanted*'s: one of its own guest's, or 0.

    Nothing belongs to itself by way of others, and none that is managed to a menu, but to whom the menu belongs.
    """
    chain = list(_ancestors(windows, wanted))
    if wid in chain or len(chain) + _height(windows, wid) > _MAX_DEPTH:
        return 0
    return next((parent for parent in chain if windows[parent].managed or not managed), 0)


def popups_of(windows: Mapping[int, Window], wid: int) -> list[int]:
    """The unmanaged windows that belong to *wid*, those that belong to others of them first."""
    popups = [window.wid for window in windows.values() if window.parent == wid and not window.managed]
    return [wid for popup in popups for wid in (*popups_of(windows, popup), popup)]


def screen_of(windows: Mapping[int, Window], window: Window) -> int:
    """On which screen a window is; a popup whose place is not known is where the window is that it belongs to."""
    if window.managed or window.where != ANYWHERE:
        return window.where
    owner = owner_of(windows, window)
    return owner.where if owner else ANYWHERE


def owner_of(windows: Mapping[int, Window], window: Window) -> Window | None:
    """The managed window that a popup belongs to, by way of others or not."""
    return next((windows[wid] for wid in _ancestors(windows, window.parent) if windows[wid].managed), None)


def _height(windows: Mapping[int, Window], wid: int) -> int:
    """How many windows belong to one another below *wid*."""
    height, level = 0, {wid}
    while level := {window.wid for window in windows.values() if window.parent in level}:
        height += 1
    return height


def _ancestors(windows: Mapping[int, Window], wid: int) -> Iterator[int]:
    while wid in windows:
        yield wid
        wid = windows[wid].parent
