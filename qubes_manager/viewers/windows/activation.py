"""Which new windows may take the keyboard: Qt would have all do so, from other domains' windows too."""

import math
import time
from collections.abc import Iterable

from PySide6.QtGui import QGuiApplication

from qubes_manager.viewers.windows.guest_window import GuestWindow
from qubes_manager.viewers.windows.platform import Platform

# Seconds for which the window of a launch is waited for.
_AWAITED = 120
# Seconds in which a window may take the place of one that closed, as programs' windows follow their splash screens.
_FOLLOWS = 1
# Qt's own word.
_PROPERTY = "_q_showWithoutActivating"


class Activation:
    """Lets a window have the keyboard that the user has launched, and any while the user is at this guest's windows."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._startup_id = ""
        self._awaited_until = self._lost_at = -math.inf

    def launched(self, startup_id: str) -> None:
        """An application is being launched: the next window is taken for its, as far as one can know."""
        self._startup_id, self._awaited_until = startup_id, time.monotonic() + _AWAITED

    def opening(self, window: GuestWindow, all_windows: Iterable[GuestWindow]) -> None:
        """Prepare a *window* that is about to come to the screen beside all that there are."""
        now = time.monotonic()
        is_awaited = window.managed and now < self._awaited_until
        is_here = now - self._lost_at < _FOLLOWS or self._platform.has_keyboard(all_windows)
        window.setProperty(_PROPERTY, not is_awaited and not is_here)
        if window.managed:
            if self._startup_id:
                self._platform.launched(window, self._startup_id)
            self._startup_id, self._awaited_until = "", -math.inf

    def closing(self, window: GuestWindow) -> None:
        """A window goes."""
        if window is QGuiApplication.focusWindow():
            self._lost_at = time.monotonic()
