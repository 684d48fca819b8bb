"""One reading for all who ask for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedReading(Generic[T]):
    """Reads something that is dear. Who asks gets what was read by a reading that began after the question.

    So a hundred who ask at once cost two readings: the one that goes on, which comes too early for them, and the next.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._asked = self._answered = self._waiting = 0
        self._found: tuple[T, ...] = ()

    async def get(self) -> T:
        """Return what there is now, or later; raises what the reading raises."""
        self._asked += 1
        self._waiting += 1
        number = self._asked
        try:
            async with self._lock:
                if not self._found or self._answered < number:
                    asked = self._asked
                    self._found = (await self._read(),)
                    self._answered = asked
                return self._found[0]
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._found = ()
