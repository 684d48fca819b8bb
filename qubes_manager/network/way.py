"""Which way a domain's network leads: out of this machine, through another domain, or nowhere; one at a time."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from qubes_manager.network.inside import Inside
from qubes_manager.network.ruleset import UPLINK
from qubes_manager.network.uplink import Uplink
from qubes_manager.network.upstream import Upstream

# What is known of no domain's network: neither another one's nor this machine's.
NOWHERE = None
_CHANGING = "it leads nowhere just now"


class Way:
    """Leads nowhere until it is opened. What fails leaves it leading nowhere, and may be asked for again."""

    def __init__(self, folder: Path, uuid: str, inside: Inside, log: Callable[[str], None]) -> None:
        self._folder, self._uuid = folder, uuid
        self._inside = inside
        self._log = log
        # The versions of IP that lead anywhere from this machine; None before it is opened.
        self._versions: frozenset[int] | None = None
        self._present: Uplink | Upstream | None = None
        self._running: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self.via: str | None = NOWHERE

    @property
    def trouble(self) -> str:
        """Why there is no way out; empty where there is one."""
        return self._present.trouble if self._present else _CHANGING

    async def lead(self, via: str) -> None:
        """Let it lead through the domain of a UUID, or of this machine for an empty one; raises OSError.

        The one before has ended by then, with all connections that went by it.
        """
        async with self._changing:
            if via == self.via:
                return
            self.via = NOWHERE
            await self._end()
            # Whoever is the network answers DNS too: no name that a domain asks for goes another way.
            await self._inside.answer_dns(not via)
            holder = self._inside.holder
            self._present = (
                Upstream(self._folder, self._uuid, holder, via, self._log) if via else Uplink(holder, self._log)
            )
            self.via = via
            await self._begin()

    async def open(self, versions: frozenset[int]) -> None:
        """Let it lead out; *versions* of IP are those that lead anywhere from this machine by now."""
        async with self._changing:
            self._versions = versions
            await self._begin()

    async def _begin(self) -> None:
        if self._versions is None or self._present is None:
            return
        if isinstance(self._present, Uplink):
            self._present.set_versions(self._versions)
        if self._running is None:
            # What a cable may have left has the name that the next one needs.
            with contextlib.suppress(OSError):
                await self._inside.run("ip", "link", "del", UPLINK)
            self._running = asyncio.create_task(self._keep(self._present))

    async def _keep(self, way: Uplink | Upstream) -> None:
        """Run it until cancelled."""
        while True:
            try:
                await way.run()
            except Exception as error:
                self._log(f"the way out has failed: {type(error).__name__}: {error}")
            await asyncio.sleep(1)

    async def _end(self) -> None:
        running, self._running, self._present = self._running, None, None
        if running:
            running.cancel()
            await asyncio.wait([running])

    async def close(self) -> None:
        """End what was begun."""
        async with self._changing:
            await self._end()
