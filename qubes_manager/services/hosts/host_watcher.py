"""Keeps the store true to one libvirt host: first paint, details, events, reconnection."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.domain_reader import (
    list_domains,
    read_configs,
    read_disk_errors,
    read_domains,
    read_flags,
)
from qubes_manager.backend.host.host_row import read_host_row
from qubes_manager.core.background import Background
from qubes_manager.core.domain import HOST_UUID, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.events import CONFIG_EVENTS, DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind
from qubes_manager.core.pauses import Pause
from qubes_manager.services.hosts.read_order import ReadOrder
from qubes_manager.services.hosts.references import is_outdated, with_names
from qubes_manager.services.hosts.store import DomainStore, HostPhase, HostStatus

log = logging.getLogger(__name__)

# Events that come within this many seconds of each other are handled together.
COALESCE_SECONDS = 0.05
# Above this many changed domains the bulk calls are cheaper than one look at each.
_BULK = 32
_DETAIL_WORKERS = 3
_DETAIL_BATCH = 40
# Seconds that a batch may hold its thread, so that others get their turn.
_DETAIL_TURN = 0.1
# The same where all are waited for.
_LONG_TURN = 5.0
FIRST_RETRY, LAST_RETRY = 1.0, 60.0


async def put_names(store: DomainStore, uri: str) -> None:
    """Put at least the names of a host's domains into the store, where the list of them does not come."""
    # What is needed in trouble only is not loaded before.
    from qubes_manager.backend.domains.domain_names import read_names

    store.put([domain for domain in await read_names(uri) if store.get(domain.key) is None])


class HostWatcher:
    """The rows of one connection. ``visible`` says which rows people can see: their details come first."""

    def __init__(self, connection: LibvirtConnection, store: DomainStore) -> None:
        self.connection = connection
        self.visible: frozenset[DomainKey] = frozenset()
        self._store = store
        self._uri = connection.uri
        self._pending: dict[str, None] = {}
        self._states, self._configs = ReadOrder(), ReadOrder()
        self._details = Background()
        self._retry = asyncio.Event()

    async def load(self, *, details: bool) -> None:
        """Read everything once, over a connection that is open."""
        await self._resync()
        await self._explain_stops(self._stopped())
        if details:
            pending, self._pending = list(self._pending), {}
            await self._read_all_configs(pending)

    async def run(self) -> None:
        """Stay connected until cancelled; a lost connection is tried again, with growing pauses."""
        pause = FIRST_RETRY
        # Only the first try is “connecting”: later ones go on beside what is known, trouble and all.
        self._set_phase(HostPhase.CONNECTING)
        while True:
            try:
                await self.connection.open()
                with self.connection.listen() as events:
                    await self._resync()
                    self._details.spawn(self._explain_stops(self._stopped()))
                    self._set_phase(HostPhase.CONNECTED)
                    pause = FIRST_RETRY
                    reason = await self._follow(events)
                trouble = HostStatus(self._uri, HostPhase.DISCONNECTED, f"connection to {self._uri} lost: {reason}")
            except QubesManagerError as error:
                trouble = HostStatus(self._uri, HostPhase.DISCONNECTED, str(error), error.details)
            finally:
                self._pending.clear()
                await self._details.close()
            log.warning("%s", trouble.message)
            self._store.put([replace(d, stale=True, activity=None) for d in self._store.of_host(self._uri)])
            self._store.set_host(trouble)
            await put_names(self._store, self._uri)
            await self.connection.close()
            self._retry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._retry.wait()
            pause = min(pause * 2, LAST_RETRY)

    def retry(self) -> None:
        """Do not wait any longer before the next try."""
        self._retry.set()

    def request_flags(self) -> None:
        """Read again what libvirt has no events for."""
        self.connection.announce(HostEvent(HostEventKind.REFRESH_FLAGS))

    def request_resync(self) -> None:
        """Read everything again; try again when the connection is broken."""
        self.connection.announce(HostEvent(HostEventKind.REFRESH_ALL))
        # A host that is gone has no listener; it needs another try instead.
        self.retry()

    async def refresh(self, uuids: Sequence[str]) -> None:
        """Read some domains again, XML included; the host itself is none that libvirt could be asked for."""
        domains = [uuid for uuid in uuids if uuid != HOST_UUID]
        await self._reread(domains)
        await self._explain_stops(self._stopped(domains))
        await self._read_all_configs(domains)

    async def refresh_all(self) -> None:
        """Read all domains again, XML included, before it returns."""
        fresh = await self._relist()
        await self._read_all_configs([domain.key.uuid for domain in fresh])

    def _set_phase(self, phase: HostPhase) -> None:
        self._store.set_host(HostStatus(self._uri, phase))

    async def _resync(self) -> None:
        """Read all domains in bulk; XML follows in the background."""
        fresh = await self._relist()
        self._want_details(domain.key.uuid for domain in fresh)
        if host := await read_host_row(self.connection):
            self._store.put([host])

    async def _relist(self) -> Sequence[Domain]:
        """Read all domains in bulk; what is not there any more goes."""
        number = self._states.begin()
        fresh = await list_domains(self.connection)
        there = {domain.key.uuid for domain in fresh}
        gone = [d.key.uuid for d in self._store.of_host(self._uri) if d.key.uuid not in there and not d.is_host]
        self._take_in(number, fresh, gone)
        return fresh

    def _take_in(self, number: int, fresh: Iterable[Domain], gone: Sequence[str]) -> None:
        """Put into the store what reading *number* brought, but for what a later one knows better."""
        domains = {domain.key.uuid: domain for domain in fresh}
        news = self._states.news(number, (*domains, *gone))
        self._store.remove(DomainKey(self._uri, uuid) for uuid in gone if uuid in news)
        self._store.put([m for uuid, domain in domains.items() if uuid in news and (m := self._merged(domain))])

    def _merged(self, fresh: Domain) -> Domain | None:
        """The fresh snapshot, with what the old one knew and libvirt was not asked for now; None without news.

        Runs for every domain after a storm of events, on the window's thread: no news must cost next to nothing.
        """
        old = self._store.get(fresh.key)
        if old is None:
            self._want_details([fresh.key.uuid])
            return fresh
        if old.name != fresh.name:
            self._want_details(self._dependents(fresh.key.uuid))
        if old.state is fresh.state and old.id == fresh.id and old.name == fresh.name and not old.stale:
            same = old.autostart is fresh.autostart and old.persistent is fresh.persistent
            if same and old.ending is fresh.ending and old.pause is fresh.pause:
                return None
        usage = old.usage
        if not fresh.state.is_active:
            usage = replace(usage, cpu_history=(), memory_kib=0, addresses=())
        active = fresh.state.is_active
        return replace(
            fresh,
            config=old.config,
            usage=usage,
            activity=old.activity,
            agent=old.agent if active else None,
            outdated=old.outdated and active,
            disk_errors=old.disk_errors if fresh.pause is Pause.IO_ERROR else (),
        )

    def _find(self, uuid: str) -> Domain | None:
        return self._store.get(DomainKey(self._uri, uuid)) if uuid else None

    def _dependents(self, uuid: str) -> list[str]:
        """The UUIDs of the domains whose XML refers to a domain."""
        return [
            domain.key.uuid
            for domain in self._store.of_host(self._uri)
            if uuid in (domain.config.template_uuid, domain.config.default_dispvm_uuid, domain.config.network_uuid)
        ]

    async def _follow(self, events: "asyncio.Queue[Event]") -> str:
        """Apply events until the connection closes; returns why it did."""
        while True:
            self._start_details()
            batch = await self._next_events(events)
            kinds = {event.kind: event for event in batch if isinstance(event, HostEvent)}
            if closed := kinds.get(HostEventKind.CLOSED):
                return closed.detail
            await self._apply([event for event in batch if isinstance(event, DomainEvent)])
            if HostEventKind.REFRESH_ALL in kinds:
                await self._resync()
            elif HostEventKind.REFRESH_FLAGS in kinds:
                await self._apply_flags()

    async def _next_events(self, events: "asyncio.Queue[Event]") -> list[Event]:
        batch = [await events.get()]
        await asyncio.sleep(COALESCE_SECONDS)
        while not events.empty():
            batch.append(events.get_nowait())
        return batch

    async def _apply(self, events: Sequence[DomainEvent]) -> None:
        if not events:
            return
        uuids = list(dict.fromkeys(event.uuid for event in events))
        await self._reread(uuids)
        # Whoever stands still on a disk in trouble may be slow to answer; other events do not wait for it.
        if stopped := self._stopped(uuids):
            self._details.spawn(self._explain_stops(stopped))
        for event in events:
            key = DomainKey(self._uri, event.uuid)
            if event.kind in CONFIG_EVENTS and self._store.get(key):
                self._want_details([event.uuid])
            agent = {DomainEventKind.AGENT_CONNECTED: True, DomainEventKind.AGENT_DISCONNECTED: False}.get(event.kind)
            if agent is not None and (domain := self._store.get(key)):
                self._store.put([replace(domain, agent=agent)])

    async def _reread(self, uuids: Sequence[str]) -> None:
        if len(uuids) > _BULK:
            await self._relist()
            return
        number = self._states.begin()
        fresh = await read_domains(self.connection, uuids)
        gone = [uuid for uuid in uuids if uuid not in fresh]
        for uuid in gone:
            self.connection.handles.pop(uuid, None)
        self._take_in(number, fresh.values(), gone)

    async def _apply_flags(self) -> None:
        flags = await read_flags(self.connection)
        self._store.put(
            replace(d, autostart=d.key.uuid in flags.autostart, persistent=d.key.uuid not in flags.transient)
            for d in self._store.of_host(self._uri)
            if not d.is_host
        )
        ended = [d for d in self._store.of_host(self._uri) if not d.state.is_active]
        changed = [d for d in ended if (d.state is DomainState.SAVED) is not (d.key.uuid in flags.saved)]
        await self._reread([d.key.uuid for d in changed])
        self._want_details(d.key.uuid for d in changed)

    def _stopped(self, uuids: Sequence[str] | None = None) -> list[DomainKey]:
        """Those of *uuids* (None: of all) that stand still on an I/O error."""
        found = self._store.of_host(self._uri) if uuids is None else map(self._find, uuids)
        return [d.key for d in found if d and d.pause is Pause.IO_ERROR]

    async def _explain_stops(self, keys: Iterable[DomainKey]) -> None:
        """Read which disks stopped domains that stand still on an I/O error."""

        async def explain(key: DomainKey) -> None:
            try:
                errors = await read_disk_errors(self.connection, key.uuid)
            except QubesManagerError:
                log.debug("reading disk errors of %s failed", key.uuid, exc_info=True)
                return
            if (now := self._store.get(key)) and now.pause is Pause.IO_ERROR:
                self._store.put([replace(now, disk_errors=errors)])

        await asyncio.gather(*map(explain, keys))

    def _want_details(self, uuids: Iterable[str]) -> None:
        self._pending.update(dict.fromkeys(uuids))

    def _start_details(self) -> None:
        while self._pending and self._details.running < _DETAIL_WORKERS:
            self._details.spawn(self._load_details())
            if len(self._pending) <= _DETAIL_BATCH:
                return

    async def _load_details(self) -> None:
        try:
            while batch := self._take_batch():
                read = await self._read_configs(batch, _DETAIL_TURN)
                self._want_details(uuid for uuid in batch if uuid not in read)
        except QubesManagerError:
            # A host that is gone is noticed and said by run().
            log.debug("reading details of %s failed", self._uri, exc_info=True)

    def _take_batch(self) -> list[str]:
        """Up to a batch of UUIDs that wait for their XML, visible rows first."""
        seen = [key.uuid for key in self.visible if key.connection == self._uri and key.uuid in self._pending]
        batch = seen[:_DETAIL_BATCH]
        for uuid in self._pending:
            if len(batch) >= _DETAIL_BATCH:
                break
            if uuid not in seen:
                batch.append(uuid)
        for uuid in batch:
            del self._pending[uuid]
        return batch

    async def _read_all_configs(self, uuids: Sequence[str]) -> None:
        """Read the XML of all *uuids*, by calls of a few seconds: however many there are, one that hangs is noticed."""
        rest = list(uuids)
        while rest:
            read = await self._read_configs(rest, _LONG_TURN)
            rest = [uuid for uuid in rest if uuid not in read]

    async def _read_configs(self, uuids: Sequence[str], turn: float) -> set[str]:
        """Read the XML of the first of *uuids*, as many as fit *turn* seconds; returns which were read."""
        number = self._configs.begin()
        saved = {uuid for uuid in uuids if (d := self._find(uuid)) and d.state is DomainState.SAVED}
        configs = await read_configs(self.connection, uuids, turn, saved)
        news = self._configs.news(number, configs)
        self._apply_configs({uuid: config for uuid, config in configs.items() if uuid in news and config})
        return set(configs)

    def _apply_configs(self, configs: dict[str, DomainConfig]) -> None:
        changed, moved = [], set()
        for uuid, config in configs.items():
            domain = self._store.get(DomainKey(self._uri, uuid))
            if domain and uuid != HOST_UUID:
                config = with_names(config, self._find)
                template = self._store.system_template_of(replace(domain, config=config))
                outdated = domain.state.is_active and is_outdated(config, template)
                if config.revision and domain.config.revision != config.revision:
                    moved.add(uuid)
                # Of an agent that was there before us no event has told.
                heard = config.agent_heard and domain.agent is None and domain.state.is_active
                agent = True if heard else domain.agent
                changed.append(replace(domain, config=config, outdated=outdated, agent=agent))
        self._store.put(changed)
        if moved:
            self._compare_with_templates(moved)

    def _compare_with_templates(self, moved: set[str]) -> None:
        """See which running domains started from a root that is not the current one of their template in *moved*."""
        running = [
            (domain, template)
            for domain in self._store.of_host(self._uri)
            if domain.state.is_active and (template := self._store.system_template_of(domain))
        ]
        self._store.put(replace(d, outdated=is_outdated(d.config, t)) for d, t in running if t.key.uuid in moved)
