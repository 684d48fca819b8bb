"""Readings that are shared are never older than the question."""

import asyncio

import pytest

from qubes_manager.services.hosts.shared_reading import SharedReading


class Source:
    """What is read: a number that others change meanwhile."""

    def __init__(self) -> None:
        self.value, self.readings = 0, 0
        self.fails = False

    async def read(self) -> int:
        self.readings += 1
        found = self.value
        await asyncio.sleep(0)
        if self.fails:
            raise ValueError("it is gone")
        return found


async def test_who_asks_at_once_shares_a_reading_that_began_after_the_question() -> None:
    source = Source()
    reading = SharedReading(source.read)
    first = asyncio.create_task(reading.get())
    await asyncio.sleep(0)
    # The reading that goes on has not seen this.
    source.value = 1
    later = [asyncio.create_task(reading.get()) for _ in range(100)]
    assert await first == 0
    assert await asyncio.gather(*later) == [1] * 100
    # Those who ask while the second goes on share a third.
    assert source.readings <= 3
    source.value = 2
    assert await reading.get() == 2


async def test_a_reading_that_fails_or_is_stopped_is_not_anybody_else_s() -> None:
    source = Source()
    reading = SharedReading(source.read)
    source.fails = True
    with pytest.raises(ValueError, match="it is gone"):
        await reading.get()
    source.fails = False
    stopped, other = asyncio.create_task(reading.get()), asyncio.create_task(reading.get())
    await asyncio.sleep(0)
    stopped.cancel()
    assert await other == 0
