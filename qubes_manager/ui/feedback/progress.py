"""Progress told by worker threads, shown by the event loop's."""

import asyncio
import threading
import time

from qubes_manager.core.progress import Progress
from qubes_manager.ui.feedback.message_bar import ProgressMessage

# People see no more than about ten changes a second.
_INTERVAL = 0.1


class LoopProgress(Progress):
    """May be told from any thread; passes on at most ten amounts a second, every new step and its end."""

    def __init__(self, title: str, shown: ProgressMessage) -> None:
        self._title = title
        self._shown = shown
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._text, self._total = "", 0
        self._at_end = False
        self._last = 0.0

    @property
    def is_cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Let the job stop where it next asks, and show that it is to; for the loop's thread."""
        self._cancelled.set()
        self._shown.update(f"{self._title}: stopping…", 0, 0)

    def step(self, text: str, total: int = 0) -> None:
        """Show a new step."""
        self._text, self._total, self._at_end = text, total, False
        self._pass_on(0)

    def at(self, done: int, total: int = 0) -> None:
        """Show how much of the step is done, unless something was shown just now."""
        self._total = total or self._total
        # Some jobs go on telling that they are at the end; that is worth one change only.
        at_end = 0 < self._total <= done
        if at_end is self._at_end and time.monotonic() - self._last < _INTERVAL:
            return
        self._at_end = at_end
        self._pass_on(done)

    def update(self, text: str, done: int, total: int) -> None:
        """Show how the step stands."""
        self._text, self._total, self._at_end = text, total, False
        self._pass_on(done)

    def _pass_on(self, done: int) -> None:
        self._last = time.monotonic()
        self._loop.call_soon_threadsafe(self._show, f"{self._title}: {self._text}…", done, self._total)

    def _show(self, text: str, done: int, total: int) -> None:
        if not self.is_cancelled:
            self._shown.update(text, done, total)
