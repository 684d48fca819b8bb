"""How far a transfer is, as one line of the terminal that is written over and over."""

import sys
import time

from qubes_manager.core.sizes import format_size

# To the start of the line, and erase to its end (ECMA-48).
_CLEAR = "\r\x1b[K"
# Seconds between two looks of the line, and over which a rate is taken.
_PAUSE, _SPAN = 0.2, 3.0


class TerminalProgress:
    """Says how much of *total* bytes has gone, the rate, and the time that is left; silent without a terminal."""

    def __init__(self, total: int, *, is_wanted: bool) -> None:
        self._total = total
        self._is_shown = is_wanted and sys.stderr.isatty()
        self._done = 0
        self._said_at = 0.0
        # When so many bytes had gone, for the rate.
        self._since, self._before = time.monotonic(), 0
        self._rate = 0.0

    def add(self, count: int) -> None:
        """So many more bytes have gone."""
        self._done += count
        now = time.monotonic()
        if now - self._since >= _SPAN or (not self._rate and now - self._since >= _PAUSE):
            self._rate = (self._done - self._before) / (now - self._since)
            self._since, self._before = now, self._done
        if self._is_shown and now - self._said_at >= _PAUSE:
            self._said_at = now
            print(f"{_CLEAR}{self.sentence}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown and self._said_at:
            self._said_at = 0.0
            print(_CLEAR, end="", file=sys.stderr, flush=True)

    @property
    def sentence(self) -> str:
        """What the line says."""
        amount = f"{format_size(self._done)} of {format_size(self._total)}"
        if not self._total or self._done > self._total:
            amount = format_size(self._done)
        if not self._rate:
            return amount
        left = max(0, self._total - self._done) / self._rate
        return f"{amount}, {format_size(int(self._rate))}/s, {_duration(left)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
