"""Long jobs of the window: each shows where it is, can be cancelled, and stands in nobody's way."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from qubes_manager.services.making import Asked, Progress
from qubes_manager.ui.message_bar import Button, MessageBar
from qubes_manager.ui.progress import LoopProgress

T = TypeVar("T")


class Jobs:
    """Runs long jobs over the message bar."""

    def __init__(self, messages: MessageBar) -> None:
        self._messages = messages
        self._count = 0

    async def run(
        self, title: str, work: Callable[[Progress, Asked], Awaitable[T]], *, buttons: Sequence[Button] = ()
    ) -> T:
        """Do *work*, which gets a function to tell its progress and one to ask whether it was cancelled.

        Cancelling sets the answer, and ends whatever the work waits for. Raises what the work raises, or Cancelled.
        """
        stop = threading.Event()
        task: asyncio.Future[T] | None = None

        def cancel() -> None:
            stop.set()
            shown.update(f"{title}: stopping…", 0, 0)

        self._count += 1
        shown = self._messages.show_progress(f"{title}…", cancel, f"job-{self._count}", buttons)
        try:
            task = asyncio.ensure_future(work(LoopProgress(f"{title}: ", shown), stop.is_set))
            return await task
        finally:
            shown.close()
