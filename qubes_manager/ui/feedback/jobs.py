"""Long jobs of the window: each shows where it is, can be cancelled, and stands in nobody's way."""

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from qubes_manager.services.making.making import Asked, Progress
from qubes_manager.ui.feedback.message_bar import Button, MessageBar
from qubes_manager.ui.feedback.progress import LoopProgress

T = TypeVar("T")


class Jobs:
    """Runs long jobs over the message bar."""

    def __init__(self, messages: MessageBar) -> None:
        self._messages = messages
        self._count = 0

    async def run(
        self,
        title: str,
        work: Callable[[Progress, Asked], Awaitable[T]],
        *,
        buttons: Sequence[Button] = (),
        cancellable: bool = True,
    ) -> T:
        """Do *work*, which gets a function to tell its progress and one to ask whether it was cancelled.

        Work that never asks is not *cancellable*. Raises what the work raises, Cancelled among it.
        """
        stop = threading.Event()

        def cancel() -> None:
            stop.set()
            shown.update(f"{title}: stopping…", 0, 0)

        self._count += 1
        every = [*buttons, ("Cancel", cancel)] if cancellable else buttons
        shown = self._messages.show_progress(f"{title}…", f"job-{self._count}", every)
        try:
            return await work(LoopProgress(f"{title}: ", shown), stop.is_set)
        finally:
            shown.close()
