"""Ending disposables when they are of no use any more, whoever made them and whatever has become of him."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.background import Background
from qubes_manager.core.domain import Disposal, Domain, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.signal import Signal
from qubes_manager.services.disposables.disposables import Disposables
from qubes_manager.services.disposables.lease import first_program
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.hosts.store import Batch, DomainStore

log = logging.getLogger(__name__)
# Seconds between two looks, and for which a disposable has neither window nor program before it ends: between one
# window and the next there may be none, and what shows windows may just be starting anew.
PAUSE, PATIENCE = 0.5, 3.0
# Seconds between two looks at one that cannot be asked, at most.
_LONGEST_PAUSE = 60.0


class DisposalKeeper:
    """Ends each disposable whose first program has ended and that has no window open, and clears up after all.

    What it goes by lies in libvirt and in the kernel (the disposable's own record, a lock), so that the next broker
    goes on at any moment. *windows* tells how many windows a domain has open, by its UUID.
    """

    def __init__(
        self,
        uri: str,
        store: DomainStore,
        disposables: Disposables,
        commands: GuestCommands,
        windows: Callable[[str], int],
        patience: float = PATIENCE,
    ) -> None:
        self._uri = uri
        self._store = store
        self._disposables = disposables
        self._commands = commands
        self._windows = windows
        self._patience = patience
        self._known: dict[DomainKey, Domain] = {}
        self._gone: list[Domain] = []
        self._useless_since: dict[DomainKey, float] = {}
        # Those that are looked at just now: one that lets its agent be silent keeps no other one waiting.
        self._looking: set[DomainKey] = set()
        # How long those are let be that could not be asked: all agents share a few threads.
        self._pauses: dict[DomainKey, float] = {}
        # Before this broker came libvirt may have crashed.
        self._to_sweep = True
        self._woken = asyncio.Event()
        # A disposable is gone, and cleared up after.
        self.ended = Signal[Domain]()
        store.on_batch(self._on_batch)

    @property
    def is_idle(self) -> bool:
        """Whether no disposable needs to be looked after."""
        return not self._held() and not self._gone

    async def run(self) -> None:
        """Work until cancelled."""
        looks = Background()
        try:
            while True:
                if not self._held():
                    await self._woken.wait()
                self._woken.clear()
                if self._to_sweep:
                    self._to_sweep = not await self._try(self._disposables.sweep(self._uri))
                while self._gone:
                    # It stays here while it is cleared up after: a broker that is at work is not idle.
                    await self._try(self._disposables.clear_up(self._gone[0]))
                    self.ended.emit(self._gone.pop(0))
                for domain in self._held():
                    if domain.key not in self._looking:
                        self._looking.add(domain.key)
                        looks.spawn(self._look_alone(domain))
                await asyncio.sleep(PAUSE)
        finally:
            await looks.close()

    async def _try(self, work: Awaitable[object]) -> bool:
        """Whether *work* got through."""
        try:
            await work
        except QubesManagerError as error:
            log.warning("disposables: %s", error)
            return False
        return True

    def _held(self) -> list[Domain]:
        return [d for d in self._known.values() if d.config.disposal is Disposal.HELD and not d.stale]

    def _on_batch(self, batch: Batch) -> None:
        for domain in (*batch.added, *batch.changed):
            if domain.is_disposable:
                self._known[domain.key] = domain
        for key in batch.removed:
            self._useless_since.pop(key, None)
            self._pauses.pop(key, None)
            if key in self._known:
                self._gone.append(self._known.pop(key))
        self._woken.set()

    async def _look_alone(self, domain: Domain) -> None:
        key = domain.key
        try:
            if await self._try(self._look(domain)):
                self._pauses.pop(key, None)
            else:
                self._pauses[key] = min(self._pauses.get(key, PAUSE) * 2, _LONGEST_PAUSE)
                await asyncio.sleep(self._pauses[key])
        finally:
            self._looking.discard(key)
            if key not in self._known:
                self._pauses.pop(key, None)

    async def _look(self, domain: Domain) -> None:
        """End a disposable that has been of no use for long enough."""
        try:
            # Whoever looks after its first program has this lock; and nobody can take it up while it is ended.
            async with domain_lock(first_program(domain.key), domain.name, 0):
                if not await self._is_useless(domain):
                    self._useless_since.pop(domain.key, None)
                    return
                now = asyncio.get_running_loop().time()
                since = self._useless_since.setdefault(domain.key, now)
                # Without windows nothing can come back.
                if not domain.has_gui or now - since >= self._patience:
                    log.info("“%s” has no program and no window any more", domain.name)
                    await self._disposables.end(domain.key)
        except Refused:
            self._useless_since.pop(domain.key, None)

    async def _is_useless(self, domain: Domain) -> bool:
        now = self._store.get(domain.key)
        if now is None or now.config.disposal is not Disposal.HELD or self._windows(domain.key.uuid):
            return False
        if now.is_internal:
            # It was to wait for its use, and who made it ready has died.
            return True
        if now.state is not DomainState.RUNNING:
            # Somebody had it stand still, and what runs in it cannot be asked.
            return False
        return not now.config.program or not await self._commands.runs(domain.key, now.config.program)
