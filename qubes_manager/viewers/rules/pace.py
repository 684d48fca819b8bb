"""How much work a guest may make for the user's window manager and panels: the rest of what it says waits."""

import time
from collections.abc import Callable

from qubes_manager.viewers.protocol.packets import (
    FromGuest,
    LostWindow,
    MoveResize,
    NewWindow,
    Resized,
    WindowIcon,
    WindowMetadata,
)

# A new window, or as much else, a second; and how many at once after a rest.
_RATE, _BURST = 50, 200
# What each kind of packet costs of it.
_COSTS: dict[type[FromGuest], float] = {
    NewWindow: 1,
    WindowIcon: 1,
    LostWindow: 0.1,
    WindowMetadata: 0.1,
    MoveResize: 0.1,
    Resized: 0.1,
}


class Pace:
    """A bucket that what is shown is taken from; *clock* tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: float = _BURST
        self._last = clock()

    def spend(self, packet: FromGuest) -> None:
        """Note what is shown."""
        if cost := _COSTS.get(type(packet)):
            now = self._clock()
            self._left = min(_BURST, self._left + (now - self._last) * _RATE) - cost
            self._last = now

    def wait(self) -> float:
        """Seconds until more may be shown; 0 at a pace that no program of use exceeds."""
        return max(0.0, -self._left / _RATE - (self._clock() - self._last))
