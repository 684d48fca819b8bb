"""The progress of a long job, as one line of the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from qubes_manager.cli.output import steer
from qubes_manager.core.progress import Progress
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell

# To the start of the line, and erase to its end (ECMA-48).
_CLEAR = "\r\x1b[K"


@contextmanager
def progress_line(*, quiet: bool) -> Iterator[Progress]:
    """Show a job's step and how much of it is done, in per cent; the line is gone at the end.

    Without a terminal each new step is a line of its own. Who leaves early, by Ctrl-C say, has the job stop: a thread
    that still works for it would keep the program until it is done.
    """
    line = _Line(quiet)
    try:
        yield line
    finally:
        line.end()


class _Line(Progress):
    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._text, self._total = "", 0
        self._shown = ""
        self._has_ended = False

    @property
    def is_cancelled(self) -> bool:
        return self._has_ended

    def step(self, text: str, total: int = 0) -> None:
        self._text, self._total = one_cell(text), total
        self._show(0)

    def at(self, done: int, total: int = 0) -> None:
        self._total = total or self._total
        self._show(done)

    def end(self) -> None:
        self._has_ended = True
        if self._terminal and self._shown:
            steer(_CLEAR)
            sys.stderr.flush()

    def _show(self, done: int) -> None:
        has_amount = self._terminal and self._total
        amount = f" {100 * done // self._total} % of {format_size(self._total)}" if has_amount else ""
        line = f"{self._text}{amount}"
        if self._quiet or self._has_ended or line == self._shown:
            return
        self._shown = line
        if self._terminal:
            steer(_CLEAR)
            print(line, end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
