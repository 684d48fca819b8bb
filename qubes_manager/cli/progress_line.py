"""The progress of a long job, as one line of the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from qubes_manager.core.sizes import format_size
from qubes_manager.services.making.making import Progress


@contextmanager
def progress_line(*, quiet: bool) -> Iterator[Progress]:
    """Give a function that shows step, bytes done and bytes in all; the line is gone at the end.

    Without a terminal each new step is a line of its own.
    """
    terminal = sys.stderr.isatty()
    last = ("", -1)

    def show(step: str, done: int, total: int) -> None:
        nonlocal last
        percent = 100 * done // total if total else 0
        if quiet or (step, percent if terminal else 0) == last:
            return
        last = (step, percent if terminal else 0)
        if terminal:
            amount = f" {percent} % of {format_size(total)}" if total else ""
            print(f"\r\x1b[K{step}{amount}", end="", file=sys.stderr, flush=True)
        else:
            print(step, file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if terminal and last[0]:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
