"""Giving up a transfer that stands still, however long it may take while it moves."""

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import TypeVar

from qubes_manager.core.errors import TimedOut

T = TypeVar("T")
# Seconds in which no byte goes. libvirt 9.0 loses an error of its disk that crosses the end of a stream, and then
# waits for ever for its own answer (virStreamFinish).
STANDSTILL = 120.0


class Movement:
    """When a transfer last moved: its thread says so, and who waits for it gives up after *limit* seconds without."""

    def __init__(self, limit: float = STANDSTILL) -> None:
        self._limit = limit
        # It has not begun before its thread says so: waiting for a thread is no standstill.
        self._last = math.inf
        self._given_up = False

    def on(self) -> None:
        """Say from the transfer's thread that it moves; raises TimedOut when nobody waits for it any more."""
        if self._given_up:
            raise TimedOut("it stood still for too long")
        self._last = time.monotonic()

    async def wait_for(self, what: str, call: Coroutine[object, object, T]) -> T:
        """Return the result of *call*; raises TimedOut, in which *what* names the action, when it stands still."""
        task = asyncio.ensure_future(call)
        try:
            while not task.done():
                left = self._last + self._limit - time.monotonic()
                if left <= 0:
                    raise TimedOut(f"cannot {what}: the host has taken nothing for {self._limit:.0f} s")
                await asyncio.wait([task], timeout=min(left, self._limit))
            return task.result()
        finally:
            self._given_up = not task.done()
            task.cancel()
