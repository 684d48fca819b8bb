"""Long jobs of the window: each shows where it is, can be cancelled, and stands in nobody's way."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from qubes_manager.core.progress import Progress
from qubes_manager.ui.feedback.message_bar import Button, MessageBar
from qubes_manager.ui.feedback.progress import LoopProgress

T = TypeVar("T")


class Jobs:
    """Runs long jobs over the message bar."""

    def __init__(self, messages: MessageBar) -> None:
        self._messages = messages

    async def run(
        self,
        title: str,
        work: Callable[[Progress], Awaitable[T]],
        *,
        buttons: Sequence[Button] = (),
        cancellable: bool = True,
    ) -> T:
        """Do *work*, which gets what to tell its progress to, and to ask whether it was cancelled.

        Work that never asks is not *cancellable*. Raises what the work raises, Cancelled among it.
        """

        def cancel() -> None:
            progress.cancel()

        every = [*buttons, ("Cancel", cancel)] if cancellable else buttons
        shown = self._messages.show_progress(f"{title}…", every)
        progress = LoopProgress(title, shown)
        try:
            return await work(progress)
        finally:
            shown.close()
