"""Coroutines that the window starts; what they raise is shown, never lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from qubes_manager.core.errors import QubesManagerError

log = logging.getLogger(__name__)


class Tasks:
    """Runs coroutines in the background and hands their errors to *report*."""

    def __init__(self, report: Callable[[QubesManagerError], None]) -> None:
        self._report = report
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start *work*."""
        task = asyncio.get_event_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel_all(self) -> None:
        """Stop what still runs; for the end of the program."""
        for task in self._running:
            task.cancel()

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, QubesManagerError):
            log.warning("%s", error)
            self._report(error)
        else:
            log.error("a task failed", exc_info=error)
            self._report(QubesManagerError("Something in this program went wrong; its log has more.", repr(error)))
