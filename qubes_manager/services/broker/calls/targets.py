"""Having the target of a call run: starting it, or making a new disposable."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.pauses import Pause
from qubes_manager.core.progress import Progress
from qubes_manager.services.broker.deciding.decisions import Allowed, Denied
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.disposables.disposables import Disposables
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.hosts.store import DomainStore


class Targets:
    """Gives running domains for calls that were allowed."""

    def __init__(self, store: DomainStore, lifecycle: Lifecycle, disposables: Disposables, lineage: Lineage) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._disposables = disposables
        self._lineage = lineage

    @asynccontextmanager
    async def running(
        self, source: DomainKey, allowed: Allowed, tell: Callable[[str], None]
    ) -> AsyncIterator[DomainKey]:
        """The domain, which runs; *tell* hears what is being waited for. A disposable is made for the block alone.

        Raises Denied where it may not be started or go on, and where *source* has had too many made, NotFound when it
        is gone by now, and what starting it raises.
        """
        if allowed.is_new:
            with ExitStack() as stack:
                try:
                    note = stack.enter_context(self._lineage.place(source))
                except Refused as error:
                    raise Denied(str(error)) from None
                tell(f"a new disposable of “{allowed.name}” is being started")
                async with self._disposables.new(allowed.key, progress=_Steps(tell), begun=note) as key:
                    yield key
            return
        domain = self._store.require(allowed.key)
        if domain.only_waits:
            raise Denied(f"“{domain.name}” is not in use yet")
        if domain.state is DomainState.PAUSED and domain.pause is Pause.USER:
            raise Denied(f"“{domain.name}” was paused by the user, and goes on when he lets it")
        if domain.state is not DomainState.RUNNING:
            if not allowed.autostart:
                raise Denied(f"“{domain.name}” does not run, and the policy does not let it be started")
            tell(f"“{domain.name}” is being started")
            await self._lifecycle.start(allowed.key)
        yield allowed.key


class _Steps(Progress):
    """Passes on the steps."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def step(self, text: str, total: int = 0) -> None:
        self._tell(text)
