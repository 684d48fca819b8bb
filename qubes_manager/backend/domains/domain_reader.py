"""Reading domains in bulk: the fewest calls that give a first paint, then details and live figures."""

import ipaddress
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import libvirt
from lxml import etree

from qubes_manager.backend.connection.call_threads import CALL_TIMEOUT
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.domain_xml import parse_config
from qubes_manager.core.domain import UNREAD, Domain, DomainConfig, DomainKey, DomainState, Ending

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: DomainState.HALTING,
    libvirt.VIR_DOMAIN_SHUTOFF: DomainState.HALTED,
    libvirt.VIR_DOMAIN_CRASHED: DomainState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: DomainState.SUSPENDED,
}
_ENDED = (DomainState.HALTED, DomainState.CRASHED)
_ENDINGS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: Ending.CLEAN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: Ending.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Ending.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: Ending.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: Ending.KILLED,
}
_STATS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BALLOON
_USAGE = libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters of a running domain: when (monotonic seconds), CPU time in ns, vCPUs, memory."""

    uuid: str
    moment: float
    cpu_time: int
    vcpus: int
    memory_kib: int


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes that a disk takes on the host, and its size as the guest sees it."""

    allocation: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Flags:
    """UUIDs of the domains that are transient, and of those that start with the host."""

    transient: frozenset[str]
    autostart: frozenset[str]


async def list_domains(connection: LibvirtConnection) -> list[Domain]:
    """Return all domains without their XML, by three bulk calls; the handles go to the connection."""
    handles, domains = await connection.call("list the domains", _list_now, connection.uri)
    connection.handles = handles
    return domains


def _list_now(raw: libvirt.virConnect, uri: str) -> tuple[dict[str, Handle], list[Domain]]:
    flags = _flags(raw)
    handles: dict[str, Handle] = {}
    domains = []
    for handle, stats in _bulk_states(raw):
        uuid = handle.UUIDString()
        handles[uuid] = handle
        domains.append(_snapshot(uri, uuid, handle, stats, flags))
    return handles, domains


def _flags(raw: libvirt.virConnect) -> Flags:
    found = []
    for flag in (libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART):
        found.append(frozenset(handle.UUIDString() for handle in raw.listAllDomains(flag)))
    return Flags(*found)


def _bulk_states(raw: libvirt.virConnect) -> Iterable[tuple[Handle, dict[str, int]]]:
    # NOWAIT: a domain that is busy (a migration, a hung disk) must not hold up the list.
    for flags in (_NOWAIT, 0):
        try:
            return raw.getAllDomainStats(_STATS, flags)
        except libvirt.libvirtError as error:
            if not is_unsupported(error):
                raise
    return [(handle, _single_state(handle)) for handle in raw.listAllDomains()]


def _single_state(handle: Handle) -> dict[str, int]:
    state, reason = handle.state()
    return {"state.state": state, "state.reason": reason}


def _snapshot(uri: str, uuid: str, handle: Handle, stats: dict[str, int], flags: Flags) -> Domain:
    state = _state(stats)
    return Domain(
        key=DomainKey(uri, uuid),
        name=handle.name(),
        state=state,
        # A handle keeps the id that the domain had when it was looked up.
        id=handle.ID() if state.is_active else -1,
        persistent=uuid not in flags.transient,
        autostart=uuid in flags.autostart,
        ending=_ENDINGS.get(stats.get("state.reason", 0), Ending.UNKNOWN) if state in _ENDED else Ending.UNKNOWN,
    )


def _state(stats: dict[str, int]) -> DomainState:
    code, reason = stats.get("state.state"), stats.get("state.reason")
    if code == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return DomainState.CRASHED
    return _STATES.get(code, DomainState.UNKNOWN) if code is not None else DomainState.UNKNOWN


async def read_flags(connection: LibvirtConnection) -> Flags:
    """Return which domains are transient or start with the host; libvirt has no event for the latter."""
    return await connection.call("list the domains", _flags)


async def read_domains(connection: LibvirtConnection, uuids: Sequence[str]) -> dict[str, Domain]:
    """Return fresh snapshots of some domains, without their XML; what is gone is left out."""
    known = [(uuid, handle) for uuid in uuids if (handle := connection.handles.get(uuid))]
    return await connection.call("read the domains", _read_now, connection.uri, known)


def _read_now(raw: libvirt.virConnect, uri: str, known: list[tuple[str, Handle]]) -> dict[str, Domain]:
    found = {}
    for uuid, handle in known:
        try:
            stats = _single_state(handle)
            flags = Flags(
                frozenset() if handle.isPersistent() else frozenset((uuid,)),
                frozenset((uuid,)) if handle.isPersistent() and handle.autostart() else frozenset(),
            )
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            continue
        found[uuid] = _snapshot(uri, uuid, handle, stats, flags)
    return found


async def read_configs(
    connection: LibvirtConnection, uuids: Sequence[str], turn: float = math.inf
) -> dict[str, DomainConfig | None]:
    """Return the XML's content of the first of *uuids*, as many as fit *turn* seconds; None for what is gone."""
    handles = [(uuid, connection.handles.get(uuid)) for uuid in uuids]
    timeout = None if math.isinf(turn) else CALL_TIMEOUT
    return await connection.call("read the domains’ XML", _configs_now, handles, turn, timeout=timeout)


def _configs_now(
    _raw: libvirt.virConnect, handles: list[tuple[str, Handle | None]], turn: float
) -> dict[str, DomainConfig | None]:
    end = time.monotonic() + turn
    found: dict[str, DomainConfig | None] = {}
    for uuid, handle in handles:
        try:
            found[uuid] = parse_config(handle.XMLDesc()) if handle else None
        except etree.XMLSyntaxError:
            # Beyond lxml's limits, for example: what it names is not known, and counts as unread.
            found[uuid] = UNREAD
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            found[uuid] = None
        if time.monotonic() > end:
            break
    return found


async def read_samples(connection: LibvirtConnection, uuids: Sequence[str]) -> list[Sample]:
    """Return the counters of some running domains, by one bulk call."""
    handles = [handle for uuid in uuids if (handle := connection.handles.get(uuid))]
    return await connection.call("read statistics", _samples_now, handles) if handles else []


def _samples_now(raw: libvirt.virConnect, handles: list[Handle]) -> list[Sample]:
    try:
        answers = raw.domainListGetStats(handles, _USAGE, _NOWAIT)
    except libvirt.libvirtError as error:
        if not is_unsupported(error):
            raise
        return _samples_one_by_one(handles)
    now = time.monotonic()
    samples = [
        Sample(
            handle.UUIDString(),
            now,
            stats.get("cpu.time", -1),
            stats.get("vcpu.current", 1),
            stats.get("balloon.current", 0),
        )
        for handle, stats in answers
    ]
    # The test driver knows the bulk call but not these groups.
    return samples if any(s.cpu_time >= 0 for s in samples) else _samples_one_by_one(handles)


def _samples_one_by_one(handles: list[Handle]) -> list[Sample]:
    samples = []
    for handle in handles:
        try:
            _state_code, _maximum, memory, vcpus, cpu_time = handle.info()
        except libvirt.libvirtError:
            continue
        samples.append(Sample(handle.UUIDString(), time.monotonic(), cpu_time, vcpus, memory))
    return samples


async def read_disk_use(connection: LibvirtConnection, uuid: str, targets: Sequence[str]) -> dict[str, DiskUse]:
    """Return what each of the disks *targets* of a domain takes on the host."""

    def read(handle: Handle) -> dict[str, DiskUse]:
        found = {}
        for target in targets:
            try:
                size, taken, _physical = handle.blockInfo(target)
            except libvirt.libvirtError:
                continue
            found[target] = DiskUse(taken, size)
        return found

    return await connection.on_domain(uuid, "read disk sizes", read)


async def read_addresses(connection: LibvirtConnection, uuid: str) -> tuple[str, ...]:
    """Return the IP addresses of a running domain, from its agent or else from the network's leases."""

    def read(handle: Handle) -> tuple[str, ...]:
        for source in (
            libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
            libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
        ):
            try:
                interfaces = handle.interfaceAddresses(source)
            except libvirt.libvirtError:
                continue
            found = [a["addr"] for interface in interfaces.values() for a in interface["addrs"] or ()]
            if addresses := tuple(filter(_is_useful_address, found[:64])):
                return addresses[:8]
        return ()

    return await connection.on_domain(uuid, "read IP addresses", read)


def _is_useful_address(text: str) -> bool:
    """Whether *text*, which a guest may have chosen, is an address that another machine could use."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local)
