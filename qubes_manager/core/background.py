"""Coroutines that run beside others, and who answers for them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from qubes_manager.core.errors import QubesManagerError

log = logging.getLogger(__name__)
T = TypeVar("T")


class Background:
    """Owns the tasks that it starts, which asyncio itself may forget, and logs what they raise.

    Our own errors are a line, all else has its trace. *report* is told of both.
    """

    def __init__(self, report: Callable[[BaseException], object] = lambda _error: None) -> None:
        self._report = report
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def running(self) -> int:
        """How many tasks run."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start *work* on the loop that runs; the task may be cancelled by itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def cancel(self) -> None:
        """Cancel all that runs, and do not wait for it."""
        for task in self._tasks:
            # One that is being cancelled may be putting something back, and a second time would tear it from that.
            if not task.cancelling():
                task.cancel()

    async def close(self) -> None:
        """Cancel all that runs, and wait until it has ended; what it starts meanwhile too."""
        while self._tasks:
            self.cancel()
            await asyncio.wait(self._tasks)

    def _on_done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, QubesManagerError):
            log.warning("%s", error)
        else:
            log.error("a task failed", exc_info=error)
        self._report(error)
