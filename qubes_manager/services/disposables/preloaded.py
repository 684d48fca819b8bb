"""Disposables that have booted before anybody wants one, and stand still until then."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from qubes_manager.backend.guests.guest_agent import GuestAgent
from qubes_manager.backend.guests.guest_port import read_port
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import GUI_PORT, INTERNAL, Disposal, Domain, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT
from qubes_manager.services.disposables.lease import first_program
from qubes_manager.services.disposables.starting import DisposableStarts
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.backend.domains.metadata import MetadataEdit

log = logging.getLogger(__name__)
# Seconds that a guest may take to its session; and that its clock may take to be put right.
_SESSION_PATIENCE, _CLOCK_PATIENCE = 300.0, 2.0
_PAUSE = 0.5


class PreloadedDisposables:
    """Boots disposables for later, and hands them out.

    While one boots it is held, by a lock, like any other whose maker is at work on it, and hidden; who finds it
    without that lock knows that it will not get ready. When it is ready it stands still, and its record says so.
    """

    def __init__(self, hosts: Hosts, store: DomainStore, starts: DisposableStarts, commands: GuestCommands) -> None:
        self._hosts = hosts
        self._store = store
        self._starts = starts
        self._commands = commands

    def of(self, template: DomainKey) -> list[Domain]:
        """Those that are ready, of a disposable template, the oldest first."""
        found = [
            d
            for d in self._store.of_host(template.connection)
            if d.is_preloaded and d.config.template_uuid == template.uuid and d.state is DomainState.PAUSED
        ]
        return sorted(found, key=lambda d: d.id)

    async def boot(self, template: DomainKey) -> DomainKey:
        """Make one ready; raises QubesManagerError, and leaves nothing behind then."""
        key = DomainKey(template.connection, str(uuid.uuid4()))
        async with domain_lock(first_program(key), "the disposable that gets ready", 0):
            try:
                await self._starts.start(template, key, "", SILENT, internal=True)
                await self._commands.ready(key, startup_timeout=_SESSION_PATIENCE)
                await self._wait_for_session(key)
                actions = actions_on(self._hosts, self._store.require(key))
                await actions.pause()
                await actions.edit_metadata(lambda edit: edit.set_disposal(Disposal.PRELOADED))
                await self._hosts.refresh(key)
            except BaseException:
                await asyncio.shield(self._drop(key))
                raise
        return key

    async def take(
        self, template: DomainKey, held: AsyncExitStack, begun: Callable[[DomainKey], object]
    ) -> DomainKey | None:
        """Hand out one that would come out the same if it were made now, and let it go on; None where there is none.

        *held* gets the lock of its first program; *begun* is told of it before it goes on. One that does not go on is
        ended, and keeps nobody from another one.
        """
        if not self.of(template):
            return None
        wanted = await self._starts.made_of(template, SILENT)
        for domain in self.of(template):
            if domain.config.made_of != wanted:
                continue
            async with AsyncExitStack() as trying:
                try:
                    await trying.enter_async_context(domain_lock(first_program(domain.key), domain.name, 0))
                except Refused:
                    # Somebody else takes it just now.
                    continue
                if await self._try_waking(domain, begun):
                    held.push_async_exit(trying.pop_all())
                    return domain.key
        return None

    async def _try_waking(self, domain: Domain, begun: Callable[[DomainKey], object]) -> bool:
        """Let one go on, or end it where that fails; its lock is held."""
        try:
            return await self._wake(domain, begun)
        except QubesManagerError as error:
            log.warning("“%s” was ready, and cannot be used: %s", domain.name, error)
            await self._drop(domain.key)
        except BaseException:
            # Given up while it was taken: nobody else would let it go on, or end it.
            await asyncio.shield(self._drop(domain.key))
            raise
        return False

    async def drop(self, key: DomainKey) -> bool:
        """End one that is ready and not wanted any more; returns False when somebody takes it just now."""
        try:
            async with domain_lock(first_program(key), "", 0):
                await self._hosts.refresh(key)
                domain = self._store.get(key)
                if domain is None or not domain.is_preloaded:
                    return False
                await self._drop(key)
        except Refused:
            return False
        return True

    async def release(self, key: DomainKey) -> None:
        """Let one that somebody else has let go on be like any that runs until it is ended."""
        with contextlib.suppress(Refused):
            async with domain_lock(first_program(key), "", 0):
                await self._hosts.refresh(key)
                domain = self._store.get(key)
                if domain and domain.is_preloaded and domain.state is DomainState.RUNNING:
                    await actions_on(self._hosts, domain).edit_metadata(_released)
                    await self._hosts.refresh(key)

    async def _wake(self, domain: Domain, begun: Callable[[DomainKey], object]) -> bool:
        """Let it go on, its lock being held; returns whether it was still there for the taking."""
        await self._hosts.refresh(domain.key)
        now = self._store.get(domain.key)
        if now is None or not now.is_preloaded or now.state is not DomainState.PAUSED:
            return False
        actions = actions_on(self._hosts, now)
        begun(domain.key)
        # From here on it ends with who has the lock, whatever becomes of this program.
        await actions.edit_metadata(_in_use)
        await actions.resume()
        await self._hosts.refresh(domain.key)
        with contextlib.suppress(QubesManagerError, TimeoutError):
            # It stood still, and so did its clock.
            async with asyncio.timeout(_CLOCK_PATIENCE):
                await GuestAgent(self._hosts.connection(domain.key.connection), now).set_clock()
        return True

    async def _wait_for_session(self, key: DomainKey) -> None:
        """Wait until the guest has opened the port of its windows, which it does when its session is ready."""
        if not self._store.require(key).config.gui_port:
            return
        connection = self._hosts.connection(key.connection)
        try:
            async with asyncio.timeout(_SESSION_PATIENCE):
                while not ((port := await read_port(connection, key.uuid, GUI_PORT)) and port.is_open):  # noqa: ASYNC110
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            raise GuestError(
                f"“{self._store.require(key).name}” has no session after {_SESSION_PATIENCE:.0f} s"
            ) from None

    async def _drop(self, key: DomainKey) -> None:
        """End it; what cannot be ended now is, by the broker, when nobody holds it."""
        with contextlib.suppress(QubesManagerError):
            await self._hosts.refresh(key)
            if domain := self._store.get(key):
                await actions_on(self._hosts, domain).kill()
                await self._hosts.refresh(key)


def _released(edit: "MetadataEdit") -> None:
    edit.set_disposal(Disposal.KEPT)
    edit.set_feature(INTERNAL, None)


def _in_use(edit: "MetadataEdit") -> None:
    edit.set_disposal(Disposal.HELD)
    edit.set_feature(INTERNAL, None)
