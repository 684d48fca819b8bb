"""What all judges of a domain's windows know together."""

from collections.abc import Callable
from dataclasses import dataclass, field

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.rules import pictures
from qubes_manager.viewers.rules.covering import ANYWHERE, AT_BOX, Screens, with_frame
from qubes_manager.viewers.rules.reach import strays
from qubes_manager.viewers.rules.window import Window, screen_of


@dataclass(slots=True)
class Desktop:
    """A domain's windows, and what they have to keep to; *on_refused* hears in a few words what was refused."""

    rules: GuiRules
    screens: Screens
    on_refused: Callable[[str], object]
    windows: dict[int, Window] = field(default_factory=dict)

    def host_box(self, window: Window) -> Box:
        """A window's box with its frame."""
        return with_frame(window.box, self.rules.border_width)

    def where(self, window: Window) -> int:
        """On which screen a window is, ``AT_BOX`` or ``ANYWHERE``."""
        where = screen_of(self.windows, window)
        if where == AT_BOX or 0 <= where < len(self.screens.boxes):
            return where
        # The window manager has yet to find it a place, and it is judged again there.
        return self.screens.largest if window.managed else ANYWHERE

    def unmanaged_beside(self, window: Window) -> list[tuple[Box, int]]:
        """The other unmanaged windows: their boxes with the frame, and where they are."""
        others = (other for other in self.windows.values() if not other.managed and other is not window)
        return [(self.host_box(other), self.where(other)) for other in others]

    def strays(self, wanted: Window | None = None, host: Box | None = None) -> set[int]:
        """The popups that are out of reach of the domain's other windows, with one as it is *wanted*, at *host*."""
        managed, popups = list[Box](), dict[int, Box]()
        for window in self.windows.values():
            if window.managed:
                managed.append(self.host_box(window))
            else:
                popups[window.wid] = self.host_box(window)
        if wanted and host:
            popups[wanted.wid] = host
        return strays(managed, popups)

    def has_room(self, window: Window, more: int = 0, *, by_user: bool = False) -> bool:
        """Whether a viewer has memory for all windows when this one has *more* pixels than now."""
        most = pictures.most_pixels(self.screens.places_known, by_user=by_user)
        return self.pixels_beside(window) + window.pixels + more <= most

    def pixels_beside(self, window: Window) -> int:
        """Pixels that are kept for all other windows."""
        return sum(other.pixels for other in self.windows.values() if other is not window)
