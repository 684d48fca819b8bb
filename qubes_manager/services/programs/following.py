"""Following what serves connections, each from when it is wanted."""

import asyncio
from collections.abc import Callable, Coroutine

from qubes_manager.core.background import Background


class Following:
    """Runs *follow* once for each connection that is wanted."""

    def __init__(self, follow: Callable[[str], Coroutine[object, object, None]]) -> None:
        self._follow = follow
        self._wanted: asyncio.Queue[str] = asyncio.Queue()

    def want(self, uri: str) -> None:
        """Follow a connection's from now on."""
        self._wanted.put_nowait(uri)

    async def run(self) -> None:
        """Follow what is wanted, until cancelled."""
        followed: set[str] = set()
        following = Background()
        try:
            while True:
                uri = await self._wanted.get()
                if uri not in followed:
                    followed.add(uri)
                    following.spawn(self._follow(uri))
        finally:
            await following.close()
