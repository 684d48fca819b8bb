"""All domains as last heard of; the one place that models and commands read."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

from qubes_manager.core.domain import Activity, Domain, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, Refused, StateIsSaved
from qubes_manager.core.signal import Signal

# Changes are announced together: a thousand starts are a handful of batches.
BATCH_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed since the last announcement."""

    added: tuple[Domain, ...] = ()
    changed: tuple[Domain, ...] = ()
    removed: tuple[DomainKey, ...] = ()


class HostPhase(Enum):
    """How things stand with a connection."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A connection's state and, when there is trouble, one line on it with the raw text behind it."""

    uri: str
    phase: HostPhase
    message: str = ""
    details: str = ""


class DomainStore:
    """Holds the newest snapshot of every domain and announces changes in batches."""

    def __init__(self) -> None:
        self._domains: dict[DomainKey, Domain] = {}
        self._guest_count = 0
        self._hosts: dict[str, HostStatus] = {}
        self._announced: set[DomainKey] = set()
        self._dirty: dict[DomainKey, None] = {}
        self._batches = Signal[Batch]()
        self._statuses = Signal[HostStatus]()
        self._flush_planned = False

    @property
    def domains(self) -> Mapping[DomainKey, Domain]:
        """All domains, read-only."""
        return MappingProxyType(self._domains)

    @property
    def guest_count(self) -> int:
        """How many domains there are beside the hosts themselves."""
        return self._guest_count

    @property
    def hosts(self) -> Mapping[str, HostStatus]:
        """All connections, read-only."""
        return MappingProxyType(self._hosts)

    def get(self, key: DomainKey) -> Domain | None:
        """Return the newest snapshot, or None when the domain is gone."""
        return self._domains.get(key)

    def require(self, key: DomainKey) -> Domain:
        """Return the newest snapshot; raises NotFound when the domain is gone."""
        if domain := self._domains.get(key):
            return domain
        raise NotFound("the domain does not exist any more")

    def require_halted(self, key: DomainKey) -> Domain:
        """Return the newest snapshot of a domain whose last run is over; raises NotFound, Refused, StateIsSaved."""
        domain = self.require(key)
        refuse_running(domain)
        refuse_saved(domain)
        return domain

    def named(self, uri: str, name: str) -> Domain | None:
        """Return the domain of that UUID or name on one connection, or None.

        As in virsh the UUID comes first: it tells apart what names do not, such as a domain that is called dom0.
        """
        by_name = (d for key, d in self._domains.items() if d.name == name and key.connection == uri)
        return self._domains.get(DomainKey(uri, name)) or next(by_name, None)

    def refuse_taken(self, uri: str, name: str) -> None:
        """Raise Refused when the connection has a domain of that name."""
        if self.named(uri, name):
            raise Refused(f"there is a domain “{name}” already; choose another name")

    def template_of(self, domain: Domain) -> Domain | None:
        """Return the template that a domain names, or None when it names none or the template is gone."""
        uuid = domain.config.template_uuid
        return self.get(DomainKey(domain.key.connection, uuid)) if uuid else None

    def system_template_of(self, domain: Domain) -> Domain | None:
        """Return the TemplateVM that a domain's system comes from: that of a disposable is its template's."""
        uuid = self.system_uuid(domain)
        return self.get(DomainKey(domain.key.connection, uuid)) if uuid else None

    def system_uuid(self, domain: Domain) -> str:
        """Return the UUID of the TemplateVM of a domain's system, even when that is gone; empty without one."""
        of_disposable = domain.klass is DomainClass.DISPOSABLE and self.template_of(domain)
        return (of_disposable or domain).config.template_uuid

    def of_host(self, uri: str) -> list[Domain]:
        """Return the domains of one connection."""
        return [domain for key, domain in self._domains.items() if key.connection == uri]

    def on_batch(self, listener: Callable[[Batch], object]) -> Callable[[], None]:
        """Call *listener* with every batch from now on; the first one has all that is there. Returns what ends it."""
        # What waits to be told belongs to those who listen already.
        self.flush()
        disconnect = self._batches.connect(listener)
        self._announced.clear()
        self._mark(self._domains)
        return disconnect

    def on_host(self, listener: Callable[[HostStatus], object]) -> Callable[[], None]:
        """Call *listener* with the state of every connection and with its changes. Returns what ends it."""
        disconnect = self._statuses.connect(listener)
        for status in list(self._hosts.values()):
            listener(status)
        return disconnect

    def set_host(self, status: HostStatus) -> None:
        """Record how things stand with a connection."""
        if self._hosts.get(status.uri) == status:
            return
        self._hosts[status.uri] = status
        self._statuses.emit(status)

    def put(self, domains: Iterable[Domain]) -> None:
        """Record new snapshots; those that say nothing new are passed over."""
        for domain in domains:
            before = self._domains.get(domain.key)
            if before != domain:
                self._guest_count += before is None and not domain.is_host
                self._domains[domain.key] = domain
                self._dirty[domain.key] = None
        self._plan()

    def remove(self, keys: Iterable[DomainKey]) -> None:
        """Forget domains."""
        for key in keys:
            if gone := self._domains.pop(key, None):
                self._guest_count -= not gone.is_host
                self._dirty[key] = None
        self._plan()

    @contextlib.contextmanager
    def activity(self, key: DomainKey, activity: Activity) -> Iterator[None]:
        """Show *activity* in the domain's row while the block runs."""
        self._set_activity(key, activity)
        try:
            yield
        finally:
            self._set_activity(key, None)

    def flush(self) -> None:
        """Announce now what has gathered."""
        self._flush_planned = False
        dirty, self._dirty = self._dirty, {}
        added, changed, removed = [], [], []
        for key in dirty:
            domain = self._domains.get(key)
            if domain is None:
                if key in self._announced:
                    removed.append(key)
            elif key in self._announced:
                changed.append(domain)
            else:
                added.append(domain)
        self._announced.update(domain.key for domain in added)
        self._announced.difference_update(removed)
        if added or changed or removed:
            self._batches.emit(Batch(tuple(added), tuple(changed), tuple(removed)))

    def _set_activity(self, key: DomainKey, activity: Activity | None) -> None:
        if domain := self._domains.get(key):
            self.put([replace(domain, activity=activity)])

    def _mark(self, keys: Iterable[DomainKey]) -> None:
        self._dirty.update(dict.fromkeys(keys))
        self._plan()

    def _plan(self) -> None:
        if not self._batches.is_heard or self._flush_planned or not self._dirty:
            return
        self._flush_planned = True
        asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)


def refuse_running(domain: Domain) -> None:
    """Raise Refused when *domain* runs."""
    if domain.state.is_active:
        raise Refused(f"“{domain.name}” is running: shut it down first")


def refuse_unfinished(domain: Domain) -> None:
    """Raise Refused while *domain* is being made or removed, or when that was not finished."""
    if domain.config.job:
        raise Refused(f"“{domain.name}” is being made or removed; it cannot be started")


def refuse_saved(domain: Domain) -> None:
    """Raise StateIsSaved when *domain* has a saved state, which brings its own configuration and data along."""
    if domain.state is DomainState.SAVED:
        raise StateIsSaved(domain.name, domain.key)
