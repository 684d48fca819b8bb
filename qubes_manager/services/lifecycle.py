"""Starting, pausing and ending domains."""

import asyncio

from qubes_manager.core.domain import Activity, Domain, DomainKey, DomainState
from qubes_manager.core.errors import HostUnreachable, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind
from qubes_manager.services.domain_access import actions_on
from qubes_manager.services.hosts import Hosts
from qubes_manager.services.store import DomainStore

SHUTDOWN_TIMEOUT = 60.0


class ShutdownTimedOut(TimedOut):
    """A guest did not shut down in its time; ``key`` is its domain."""

    def __init__(self, domain: Domain, timeout: float) -> None:
        super().__init__(f"“{domain.name}” has not shut down within {timeout:.0f} s; wait longer, or kill it")
        self.key = domain.key


class Lifecycle:
    """The power actions. Each returns when libvirt has done it; rows change by libvirt's events."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    async def start(self, key: DomainKey) -> None:
        """Start a halted domain, or let a paused one go on."""
        domain = self._store.require(key)
        actions = actions_on(self._hosts, domain)
        if domain.state in (DomainState.PAUSED, DomainState.SUSPENDED):
            await actions.resume()
            await self._hosts.refresh(key)
            return
        with self._store.activity(key, Activity.STARTING):
            await actions.start()
            await self._hosts.refresh(key)

    async def pause(self, key: DomainKey) -> None:
        """Stop the domain's CPUs."""
        await actions_on(self._hosts, self._store.require(key)).pause()
        await self._hosts.refresh(key)

    async def suspend(self, key: DomainKey) -> None:
        """Ask the guest to suspend to RAM."""
        await actions_on(self._hosts, self._store.require(key)).suspend()

    async def kill(self, key: DomainKey) -> None:
        """End the domain at once; what it had not saved is lost."""
        with self._store.activity(key, Activity.KILLING):
            await actions_on(self._hosts, self._store.require(key)).kill()
            await self._hosts.refresh(key)

    async def shutdown(self, key: DomainKey, timeout: float = SHUTDOWN_TIMEOUT) -> None:
        """Ask the guest to shut down and wait for it, *timeout* seconds; raises ShutdownTimedOut."""
        with self._store.activity(key, Activity.HALTING):
            await self._shut_down(key, timeout)

    async def request_shutdown(self, key: DomainKey) -> None:
        """Ask the guest to shut down, without waiting for it."""
        await actions_on(self._hosts, self._store.require(key)).request_shutdown()

    async def wait_halted(self, key: DomainKey, timeout: float = SHUTDOWN_TIMEOUT) -> None:
        """Wait until a domain that was asked to shut down has done so; raises ShutdownTimedOut."""
        domain = self._store.require(key)
        with (
            self._store.activity(key, Activity.HALTING),
            self._hosts.connection(key.connection).listen() as events,
        ):
            await self._hosts.refresh(key)
            now = self._store.get(key)
            if now and now.state.is_active:
                await self._wait_stopped(domain, events, timeout)

    async def restart(self, key: DomainKey, timeout: float = SHUTDOWN_TIMEOUT) -> None:
        """Shut the domain down and start it again, so that it comes up with its present configuration."""
        with self._store.activity(key, Activity.RESTARTING):
            await self._shut_down(key, timeout)
            await actions_on(self._hosts, self._store.require(key)).start()
            await self._hosts.refresh(key)

    async def _shut_down(self, key: DomainKey, timeout: float) -> None:
        domain = self._store.require(key)
        with self._hosts.connection(key.connection).listen() as events:
            await actions_on(self._hosts, domain).request_shutdown()
            await self._wait_stopped(domain, events, timeout)
        await self._hosts.refresh(key)

    async def _wait_stopped(self, domain: Domain, events: "asyncio.Queue[Event]", timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    match await events.get():
                        case DomainEvent(uuid=uuid, kind=DomainEventKind.STOPPED) if uuid == domain.key.uuid:
                            return
                        case HostEvent(kind=HostEventKind.CLOSED):
                            raise HostUnreachable(f"the connection was lost while “{domain.name}” was shutting down")
        except TimeoutError:
            raise ShutdownTimedOut(domain, timeout) from None
