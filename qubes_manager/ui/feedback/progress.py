"""Progress told by worker threads, shown by the event loop's."""

import asyncio
import time

from qubes_manager.ui.feedback.message_bar import Progress

# People see no more than about ten changes a second.
_INTERVAL = 0.1


class LoopProgress:
    """May be called from any thread; passes on at most ten calls a second, and every new step."""

    def __init__(self, prefix: str, shown: Progress) -> None:
        self._prefix = prefix
        self._shown = shown
        self._loop = asyncio.get_running_loop()
        self._last = ("", 0.0)

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show the step and where it is."""
        now = time.monotonic()
        if step == self._last[0] and now - self._last[1] < _INTERVAL and done < total:
            return
        self._last = (step, now)
        self._loop.call_soon_threadsafe(self._shown.update, f"{self._prefix}{step}…", done, total)
