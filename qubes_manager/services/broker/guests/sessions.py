"""Talks to all running domains of a connection that have the ports."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import GuestError, NotFound, QubesManagerError, TimedOut
from qubes_manager.core.signal import Signal
from qubes_manager.services.broker.guests.session import DomainSession
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore

log = logging.getLogger(__name__)
# Seconds after which a talk that could not begin is tried again.
_PAUSE = 2.0


class Sessions:
    """Starts and ends a ``DomainSession`` for each domain as the store tells of them."""

    def __init__(self, hosts: Hosts, store: DomainStore, find_address: Callable[[], Path]) -> None:
        self._hosts = hosts
        self._store = store
        self._find_address = find_address
        self._running: dict[DomainKey, tuple[DomainSession, asyncio.Task[None]]] = {}
        self._talking = Background()
        # Some domain has begun, has become ready, or is not any more.
        self.changed = Signal[()]()
        # A guest asks for a service.
        self.called = Signal[DomainSession, Call]()
        # Set when that, or what the store says, may have changed whom one can talk to.
        self._moved = asyncio.Event()
        self.changed.connect(self._moved.set)
        self._disconnect = store.on_batch(self._on_batch)

    @property
    def is_idle(self) -> bool:
        """Whether there is no domain that could ask for anything."""
        # One whose talk has ended by itself has no ports after all.
        return all(task.done() for _session, task in self._running.values())

    @property
    def answering(self) -> list[DomainSession]:
        """Those whose guests' tools have answered."""
        return [session for session, _task in self._running.values() if session.is_ready]

    def find(self, key: DomainKey) -> DomainSession | None:
        """The talk with a domain, when it runs and has the ports."""
        found = self._running.get(key)
        return found[0] if found else None

    def name_of(self, key: DomainKey) -> str:
        """Of a domain, for people; its UUID when it is gone."""
        domain = self._store.get(key)
        return domain.name if domain else key.uuid

    async def ready(self, key: DomainKey, patience: float) -> DomainSession:
        """Wait until a running domain's tools have answered.

        Raises GuestError when it does not run (any more) or has no ports, TimedOut after *patience* seconds.
        """
        try:
            async with asyncio.timeout(patience):
                while True:
                    self._moved.clear()
                    session = self.find(key)
                    if session and session.is_ready:
                        return session
                    _refuse_mute(self._store.require(key))
                    await self._moved.wait()
        except TimeoutError:
            name = self.name_of(key)
            raise TimedOut(
                f"the guest tools of “{name}” have not answered within {patience:.0f} s: choose “Update guest tools” "
                "for it, or for its template"
            ) from None

    async def close(self) -> None:
        """End all talks, wait until they have ended, and begin no more."""
        self._disconnect()
        for key in list(self._running):
            self._stop(key)
        await self._talking.close()

    def _on_batch(self, batch: Batch) -> None:
        for domain in (*batch.added, *batch.changed):
            found = self._running.get(domain.key)
            if found and (not domain.has_crossing or found[0].domain.id != domain.id):
                self._stop(domain.key)
                found = None
            if found:
                found[0].domain = domain
            elif domain.has_crossing:
                self._start(domain)
        for key in batch.removed:
            self._stop(key)
        self._moved.set()

    def _start(self, domain: Domain) -> None:
        connection = self._hosts.connection(domain.key.connection)
        session = DomainSession(connection, domain, self._find_address, self.called.emit, self.changed.emit)
        task = self._talking.spawn(_keep_running(session))
        task.add_done_callback(lambda _task: self.changed.emit())
        self._running[domain.key] = (session, task)
        self.changed.emit()

    def _stop(self, key: DomainKey) -> None:
        if found := self._running.pop(key, None):
            found[1].cancel()
            self.changed.emit()


async def _keep_running(session: DomainSession) -> None:
    """Let a talk go on as long as the domain runs and has the ports: a host that was busy once, or full, comes back."""
    while True:
        try:
            return await session.run()
        except NotFound:
            return None
        except (QubesManagerError, OSError) as error:
            log.warning("“%s”: %s", session.domain.name, error)
        except Exception:
            log.exception("the talk with “%s” failed", session.domain.name)
        await asyncio.sleep(_PAUSE)


def _refuse_mute(domain: Domain) -> None:
    """Raise GuestError for a domain that will not answer, however long one waits."""
    if not domain.state.is_active:
        raise GuestError(f"“{domain.name}” does not run")
    if domain.is_read and not domain.config.crossing_ports:
        raise GuestError(f"“{domain.name}” has no ports for this: shut it down and start it again")
