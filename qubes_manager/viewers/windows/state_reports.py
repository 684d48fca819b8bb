"""What the desktop makes of windows (minimised, maximised, in full screen), told to the guest when it stands.

Desktops change a window's states several times while it opens or turns: a guest that heard of each would answer each,
and the two would chase one another.
"""

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer

from qubes_manager.viewers.protocol.packets import (
    ConfigureWindow,
    MapWindow,
    Metadata,
    ToGuest,
    UnmapWindow,
    WindowState,
)
from qubes_manager.viewers.windows.guest_window import GuestWindow

# Milliseconds without a change after which a state stands.
_STANDS = 200
_NOTHING = WindowState(False, False, False)


class StateReports:
    """Knows what the guest believes of each window's states, and tells it what is otherwise.

    *on_left* hears of windows that the desktop has led out of full screen.
    """

    def __init__(self, say: Callable[[ToGuest], object], on_left: Callable[[int], object]) -> None:
        self._say = say
        self._on_left = on_left
        self._believed: dict[int, WindowState] = {}
        self._changed: dict[int, GuestWindow] = {}
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_STANDS)
        self._timer.timeout.connect(self._report)

    def said(self, wid: int, metadata: Metadata) -> None:
        """The guest has said how a window is to be: that is what it believes."""
        before = self._believed.get(wid, _NOTHING)
        self._believed[wid] = WindowState(
            before.maximized if metadata.maximized is None else metadata.maximized,
            before.fullscreen if metadata.fullscreen is None else metadata.fullscreen,
            before.iconified if metadata.iconic is None else metadata.iconic,
        )

    def changed(self, window: GuestWindow) -> None:
        """The desktop, or we, have changed a window's states."""
        self._changed[window.wid] = window
        self._timer.start()

    def forget(self, wid: int) -> None:
        """A window is gone."""
        self._changed.pop(wid, None)
        self._believed.pop(wid, None)

    def _report(self) -> None:
        changed, self._changed = self._changed, {}
        for wid, window in changed.items():
            before, now = self._believed.get(wid, _NOTHING), _states_of(window)
            self._believed[wid] = now
            if now.iconified != before.iconified:
                self._say(UnmapWindow(wid) if now.iconified else MapWindow(wid, window.box, now))
            elif now != before and not now.iconified:
                self._say(ConfigureWindow(wid, window.box, now))
            if before.fullscreen and not now.fullscreen and not now.iconified:
                self._on_left(wid)


def _states_of(window: GuestWindow) -> WindowState:
    states = window.windowStates()
    return WindowState(
        bool(states & Qt.WindowState.WindowMaximized),
        bool(states & Qt.WindowState.WindowFullScreen),
        bool(states & Qt.WindowState.WindowMinimized),
    )
