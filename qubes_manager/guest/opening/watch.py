"""Knows when the user has closed what was opened: by the processes that came of it, and by its windows.

A launcher may end at once while the program that it asked for starts elsewhere (D-Bus), a program may leave helpers
behind, and a path on a command line says nothing. So an end is: no window left, and no process of ours but helpers.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Seconds: between two looks; for a window to come when nothing of ours runs; and for what still runs when its windows
# have been closed.
_PAUSE, GRACE, _LINGER = 0.25, 15.0, 60.0
# What runs for others and shows no window of its own (the names' first 15 characters).
_HELPERS = (
    "dbus-daemon", "dbus-broker", "dconf-service", "at-spi", "gvfs", "xdg-desktop-por", "xdg-document-po",
    "xdg-permission", "gpg-agent", "ssh-agent", "fusermount", "xfconfd", "tumblerd", "gconfd",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """What there is at a moment: our processes by their names, and all windows, each with its process or 0."""

    processes: Mapping[int, str]
    windows: Mapping[int, int]


class Watch:
    """Watches from the moment it is made, before anything is opened.

    *look* says what there is; *grace* is how many seconds a window may take to come when nothing of ours runs.
    """

    def __init__(
        self, look: Callable[[], Look], *, grace: float = GRACE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._grace = grace
        self._clock = clock
        self._before = frozenset(look().windows)
        self._ours: set[int] = set()
        # Since when no window of ours is open, and since when nothing of ours runs either.
        self._closed = self._idle = clock()
        self.has_seen_window = False

    def wait_for_end(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Return when all is closed."""
        while not self._is_over():
            sleep(_PAUSE)

    def wait_for_window(self, timeout: float, sleep: Callable[[float], object] = time.sleep) -> bool:
        """Return when there is a window, when there will be none, or after *timeout* seconds; says whether one came."""
        end = self._clock() + timeout
        while not self._is_over() and not self.has_seen_window and self._clock() < end:
            sleep(_PAUSE)
        return self.has_seen_window

    def _is_over(self) -> bool:
        seen, now = self._look(), self._clock()
        works = self._working(seen)
        if self._open_windows(seen, works):
            self._closed = self._idle = now
            return False
        if works:
            self._idle = now
            return self.has_seen_window and now - self._closed >= _LINGER
        return self.has_seen_window or now - self._idle >= self._grace

    def _open_windows(self, seen: Look, works: bool) -> bool:
        for window, pid in seen.windows.items():
            if window in self._before:
                continue
            # A window that says nothing may be ours; and when all of ours has ended without one, a program that ran
            # before has taken the file.
            if pid in seen.processes or not pid or not (works or self.has_seen_window):
                self._ours.add(window)
        self._ours &= seen.windows.keys()
        self.has_seen_window = self.has_seen_window or bool(self._ours)
        return bool(self._ours)

    @staticmethod
    def _working(seen: Look) -> bool:
        return any(not name.startswith(_HELPERS) for name in seen.processes.values())
