"""Waiting for what comes by itself.

There is one patience for all tests: to wait long costs nothing where it comes soon, and where several workers, their
guests and other programs share two cores, what takes a tenth of a second elsewhere may take many.
"""

import asyncio
import time
from collections.abc import Callable

# Seconds for a program that is to start, to answer or to end.
PATIENCE = 60.0
# Seconds for a guest, which boots in software emulation beside others.
GUEST_PATIENCE = 240.0


def soon() -> asyncio.Timeout:
    """A block that may wait for what comes; raises TimeoutError where it does not."""
    return asyncio.timeout(PATIENCE)


async def until(check: Callable[[], object]) -> None:
    """Wait until *check* holds; raises TimeoutError where it never does."""
    async with soon():
        while not check():
            await asyncio.sleep(0.01)


def shell_wait(check: str) -> str:
    """A line of the shell for a guest, which waits until the command *check* succeeds; ends the shell with 1 else."""
    return f"n=0; until {check}; do n=$((n+1)); [ $n -lt 500 ] || exit 1; sleep 0.1; done"


def wait_until(check: Callable[[], object], what: Callable[[], object] | str = "") -> None:
    """Wait, without a loop, until *check* holds; where it never does, *what* says what was waited for or is there."""
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.02)
