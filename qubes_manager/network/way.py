"""Which way a domain's network leads: out of this machine, or through another domain; one at a time."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from qubes_manager.network.inside import Inside
from qubes_manager.network.uplink import Uplink
from qubes_manager.network.upstream import Upstream


class Way:
    """Leads nowhere until it is opened."""

    def __init__(self, folder: Path, uuid: str, inside: Inside, log: Callable[[str], None]) -> None:
        self._folder, self._uuid = folder, uuid
        self._inside = inside
        self._log = log
        self._versions: frozenset[int] | None = None
        self._present: Uplink | Upstream = Uplink(inside.holder, log)
        self._running: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self.via = ""

    @property
    def trouble(self) -> str:
        """Why there is no way out; empty where there is one."""
        return self._present.trouble

    async def lead(self, via: str) -> None:
        """Let it lead through the domain of a UUID, or of this machine for an empty one; raises OSError.

        The one before has ended by then, with all connections that went by it.
        """
        async with self._changing:
            if via == self.via:
                return
            await self._end()
            if bool(via) != bool(self.via):
                # Whoever is the network answers DNS too: no name that a domain asks for goes another way.
                await self._inside.answer_dns(not via)
            self.via = via
            inside = self._inside
            self._present = (
                Upstream(self._folder, self._uuid, inside.holder, via, self._log)
                if via
                else Uplink(inside.holder, self._log)
            )
            if self._versions is not None:
                self._begin(self._versions)

    def open(self, versions: frozenset[int]) -> None:
        """Let it lead out; *versions* of IP are those that lead anywhere from this machine by now."""
        is_first, self._versions = self._versions is None, versions
        if is_first:
            self._begin(versions)
        elif isinstance(self._present, Uplink):
            self._present.set_versions(versions)

    def _begin(self, versions: frozenset[int]) -> None:
        if isinstance(self._present, Uplink):
            self._present.set_versions(versions)
        self._running = asyncio.create_task(self._present.run())

    async def _end(self) -> None:
        if self._running:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def close(self) -> None:
        """End what was begun."""
        async with self._changing:
            await self._end()
