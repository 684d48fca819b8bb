"""Keeps, with each template and standalone domain, which guest tools it says it has."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.broker.guests.sessions import Sessions
from qubes_manager.services.domains.tool_versions import has_own_tools

log = logging.getLogger(__name__)
# Seconds after which what could not be kept is tried again, unless something tells of it before.
_RETRY = 30.0


class ToolsRecord:
    """Has what domains say kept by *record*."""

    def __init__(self, sessions: Sessions, record: Callable[[DomainKey, str], Awaitable[object]]) -> None:
        self._sessions = sessions
        self._record = record
        self._changed = asyncio.Event()
        # The run of each domain whose word was taken: a guest is not to have its domain written again and again.
        self._taken: dict[DomainKey, int] = {}
        sessions.changed.connect(self._changed.set)

    @property
    def is_idle(self) -> bool:
        """It needs nobody to wait for it."""
        return True

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            self._changed.clear()
            is_all_kept = await self._keep()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if is_all_kept else _RETRY):
                    await self._changed.wait()

    async def _keep(self) -> bool:
        """Keep what is said and was not yet; returns whether all is."""
        self._taken = {key: run for key, run in self._taken.items() if self._sessions.find(key)}
        is_all_kept = True
        for session in list(self._sessions.answering):
            domain = session.domain
            if not (session.tools and has_own_tools(domain)) or self._taken.get(domain.key) == domain.id:
                continue
            try:
                await self._record(domain.key, session.tools)
            except QubesManagerError as error:
                log.debug("which tools “%s” has was not kept: %s", domain.name, error)
                is_all_kept = False
            else:
                self._taken[domain.key] = domain.id
        return is_all_kept
