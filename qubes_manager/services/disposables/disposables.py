"""Disposables: domains that start from an AppVM, and are gone with all that they wrote when they stop."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Disposal, Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.names import check_name
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.disposables.lease import first_program
from qubes_manager.services.disposables.preloaded import PreloadedDisposables
from qubes_manager.services.disposables.starting import DisposableStarts
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.volumes.frozen_copies import FrozenCopies

log = logging.getLogger(__name__)


class Disposables:
    """Makes disposables and ends them.

    *ensure_keeper* starts the broker of a connection, which ends those that nobody looks after any more. *forget* takes
    away what the user's files hold of one that is gone.
    """

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        starts: DisposableStarts,
        preloaded: PreloadedDisposables,
        copies: FrozenCopies,
        lifecycle: Lifecycle,
        commands: GuestCommands,
        defaults: GlobalDefaults,
        ensure_keeper: Callable[[str], Awaitable[object]],
        forget: Callable[[Domain], Awaitable[object]],
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._starts = starts
        self._preloaded = preloaded
        self._copies = copies
        self._lifecycle = lifecycle
        self._commands = commands
        self._defaults = defaults
        self._ensure_keeper = ensure_keeper
        self._forget = forget

    def templates(self, uri: str) -> list[Domain]:
        """The domains that disposables can be made of, by name."""
        found = [d for d in self._store.of_host(uri) if d.config.template_for_dispvms]
        return sorted(found, key=lambda d: d.name)

    async def default_for(self, uri: str) -> Domain:
        """The domain that the user's own disposables are made of; raises Refused with what to set where there is none.

        What a domain's are made of the policy knows (``subjects``).
        """
        name = await asyncio.to_thread(self._defaults.get, "default_dispvm")
        found = self._store.named(uri, name) if name else None
        if found is None:
            what = f"names “{name}”, which is not there" if name else "is not set"
            raise Refused(
                f"there is nothing to make a disposable of: default_dispvm (qubes-prefs) {what}; "
                "name an AppVM for disposables"
            )
        return found

    async def make(self, template: DomainKey, *, name: str = "", progress: Progress = SILENT) -> DomainKey:
        """Make a disposable that runs until somebody ends it, and return it when it answers.

        Raises Refused, BadInput, GuestError, HostCallFailed, Cancelled; nothing is left behind then.
        """
        async with self.new(template, name=name, progress=progress) as key:
            await self.keep(key)
        return key

    @asynccontextmanager
    async def new(
        self,
        template: DomainKey,
        *,
        name: str = "",
        progress: Progress = SILENT,
        begun: Callable[[DomainKey], object] = lambda _key: None,
    ) -> AsyncIterator[DomainKey]:
        """A new disposable, which runs and answers; the block is its first program.

        When the block has ended the disposable ends too: at once where it has no windows, or when the block failed;
        else with its last window, which the broker sees to. It is ended as well, by the broker, when this program dies
        in the block. A preloaded one is taken where there is one and no *name* is wanted. *begun* is told which it is,
        before anything runs in it. Raises as ``make`` does.
        """
        async with AsyncExitStack() as held:
            key = await self._make(template, name, progress, begun, held)
            try:
                yield key
            except BaseException:
                await asyncio.shield(self._try_ending(key))
                raise
            domain = self._store.get(key)
            if domain and domain.config.disposal is Disposal.HELD and not domain.config.gui_port:
                await self.end(key)

    async def _make(
        self,
        template: DomainKey,
        name: str,
        progress: Progress,
        begun: Callable[[DomainKey], object],
        held: AsyncExitStack,
    ) -> DomainKey:
        """A disposable that runs and answers; *held* gets the lock of its first program."""
        await self._ensure_keeper(template.connection)
        if name:
            check_name(name)
            self._store.refuse_taken(template.connection, name)
        elif ready := await self._preloaded.take(template, held, begun):
            return ready
        key = DomainKey(template.connection, str(uuid.uuid4()))
        await held.enter_async_context(domain_lock(first_program(key), name or "the new disposable", 0))
        begun(key)
        try:
            await self._starts.start(template, key, name, progress)
            progress.step(f"waiting for “{self._store.require(key).name}”")
            await self._commands.ready(key)
        except BaseException:
            await asyncio.shield(self._try_ending(key))
            raise
        return key

    async def define(self, template: DomainKey, name: str, progress: Progress = SILENT) -> DomainKey:
        """Make a disposable of that name, which stays in the list when it stops; only what it wrote is gone then.

        Raises Refused, BadInput, HostCallFailed, Cancelled.
        """
        check_name(name)
        self._store.refuse_taken(template.connection, name)
        key = DomainKey(template.connection, str(uuid.uuid4()))
        await self._starts.define(template, key, name, progress)
        return key

    async def keep(self, key: DomainKey) -> None:
        """Let a disposable run until somebody ends it, whatever programs and windows it has."""
        await self._record(key, Disposal.KEPT)

    async def record_program(self, key: DomainKey, number: int) -> None:
        """Record the number that a disposable's first program has for its agent: it is to be waited for."""
        await self._record(key, Disposal.HELD, number)

    async def _record(self, key: DomainKey, disposal: Disposal, program: int = 0) -> None:
        actions = actions_on(self._hosts, self._store.require(key))
        await actions.edit_metadata(lambda edit: edit.set_disposal(disposal, program))
        await self._hosts.refresh(key)

    async def end(self, key: DomainKey) -> None:
        """End a disposable at once, with all that is in it; one that is gone already is no error."""
        domain = self._store.get(key)
        if domain is None:
            return
        if not domain.is_disposable:
            raise Refused(f"“{domain.name}” is no disposable: it would not be gone")
        await self._lifecycle.kill(key)
        await self.clear_up(domain)

    async def clear_up(self, domain: Domain) -> None:
        """Take away what a disposable that has ended leaves: files of a crash, its logs, copies that it alone used."""
        await self._forget(domain)
        await self.sweep(domain.key.connection)
        if template := self._store.template_of(domain):
            await self._copies.tidy(template.key)

    async def sweep(self, uri: str) -> None:
        """Take away the files that disposables have left which libvirt does not know any more."""
        await self._starts.sweep(uri)

    async def _try_ending(self, key: DomainKey) -> None:
        """What cannot be ended now is ended by the broker, when it sees that nobody looks after it."""
        try:
            await self._hosts.refresh(key)
            await self.end(key)
        except QubesManagerError as error:
            log.warning("a disposable could not be ended: %s", error)
