"""Telling a user who looks at a desktop, not at a terminal."""

import asyncio
import sys

from qubes_manager.backend.host.desktop_notice import show_notice


class Notice:
    """One notice that changes as things go on; on a terminal, lines on stderr. What is urgent is on stderr always."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = ""

    async def say(self, text: str, *, urgent: bool = False) -> None:
        """Say *text* in place of what was said before."""
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        # A desktop's notice is gone soon, and who asks later what happened finds it in the session's log.
        if sys.stderr is not None and (is_terminal or urgent):
            print(f"{self._title}: {text}", file=sys.stderr)
        if is_terminal:
            return
        self._shown = await asyncio.to_thread(show_notice, self._title, text, replaces=self._shown, urgent=urgent)
