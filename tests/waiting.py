"""Waiting for what comes by itself."""

import asyncio
from collections.abc import Callable


async def until(check: Callable[[], object], timeout: float = 10) -> None:
    """Wait until *check* holds; raises TimeoutError after that many seconds."""
    async with asyncio.timeout(timeout):
        while not check():
            await asyncio.sleep(0.01)
