"""How much may be said: by a guest to the host, and by its own programs, which keep to what the host hears."""

import time


class Rate:
    """So many units a second, and as many at once as *burst*. Who spends more than there is has to wait.

    Nothing here waits: ``spend`` says how long.
    """

    def __init__(self, a_second: float, burst: float) -> None:
        self._a_second = a_second
        self._burst = burst
        self._left = burst
        self._since = time.monotonic()

    def try_spend(self) -> bool:
        """Spend a unit if there is one; returns whether there was."""
        self._refill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Take back a unit that was spent."""
        self._left = min(self._burst, self._left + 1)

    @property
    def is_full(self) -> bool:
        """Whether all has been made up for."""
        self._refill()
        return self._left >= self._burst

    def spend(self, units: float = 1) -> float:
        """Spend units; returns the seconds until all that was spent is made up for, 0 where that is so already."""
        self._refill()
        self._left -= units
        return max(0.0, -self._left / self._a_second)

    def _refill(self) -> None:
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._a_second)
        self._since = now
