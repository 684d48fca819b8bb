"""Reading domains in bulk: the fewest calls that give a first paint, then details and live figures."""

import contextlib
import ipaddress
import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import libvirt
from lxml import etree

from qubes_manager.backend.connection.agent_calls import PATIENCE, agent_may_take, patience_for
from qubes_manager.backend.connection.call_threads import CALL_TIMEOUT
from qubes_manager.backend.connection.connection import LibvirtConnection, looked_up
from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.core.domain import UNREAD, Domain, DomainConfig, DomainKey, DomainState, Ending
from qubes_manager.core.errors import HostCallFailed, TimedOut
from qubes_manager.core.pauses import DiskError, Pause

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
# A start that failed says nothing of the run before it.
_ENDINGS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: Ending.CLEAN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: Ending.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Ending.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: Ending.KILLED,
    # Into a file by "virsh save"; and libvirt goes on saying so when a saved state of its own keeping is gone.
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: Ending.SAVED,
}
PAUSES = {
    libvirt.VIR_DOMAIN_PAUSED_USER: Pause.USER,
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION: Pause.MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_SAVE: Pause.SAVE,
    libvirt.VIR_DOMAIN_PAUSED_DUMP: Pause.DUMP,
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: Pause.IO_ERROR,
    libvirt.VIR_DOMAIN_PAUSED_WATCHDOG: Pause.WATCHDOG,
    libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT: Pause.FROM_SNAPSHOT,
    libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN: Pause.SHUTTING_DOWN,
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT: Pause.SNAPSHOT,
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: Pause.PANIC,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: Pause.STARTING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: Pause.POSTCOPY,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: Pause.POSTCOPY_FAILED,
    # Newer than the oldest libvirt that this program runs on.
    getattr(libvirt, "VIR_DOMAIN_PAUSED_API_ERROR", 14): Pause.API_ERROR,
}
# Seconds for a domain whose disks are in trouble; its monitor may be too.
_DISK_ERROR_TIMEOUT = 5.0
_MAX_DISK_ERRORS = 64
# Only what libvirt knows by itself: for the rest it asks each QEMU, and one that hangs would hold up the list.
_STATS = libvirt.VIR_DOMAIN_STATS_STATE
# Seconds for what libvirt has at hand, and that reading XML may hold its thread.
_LIST_TIMEOUT, _TURN = 10.0, 5.0
# Seconds for the counters of all domains; the next look passes over who is busy with the last one.
_SAMPLES_TIMEOUT = 5.0
_USAGE = libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
# Of the addresses that a guest tells: how many are looked at, and how many are kept.
_MOST_TOLD, _MOST_ADDRESSES = 64, 8
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
    """UUIDs of the domains that are transient, that start with the host, and that have a saved state."""

    transient: frozenset[str]
    autostart: frozenset[str]
    saved: frozenset[str]


async def list_domains(connection: LibvirtConnection) -> list[Domain]:
    """Return all domains without their XML, by four bulk calls; the handles go to the connection."""
    handles, domains = await connection.call("list the domains", _list_now, connection.uri, timeout=_LIST_TIMEOUT)
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
    for flag in (
        libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
        libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART,
        libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
    ):
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
    state, pause = _state(stats, handle, uuid in flags.saved)
    return Domain(
        key=DomainKey(uri, uuid),
        name=handle.name(),
        state=state,
        # A handle keeps the id that the domain had when it was looked up.
        id=handle.ID() if state.is_active else -1,
        persistent=uuid not in flags.transient,
        autostart=uuid in flags.autostart,
        ending=_ENDINGS.get(stats.get("state.reason", 0), Ending.UNKNOWN) if state in _ENDED else Ending.UNKNOWN,
        pause=pause,
    )


def _state(stats: dict[str, int], handle: Handle, is_saved: bool) -> tuple[DomainState, Pause | None]:
    code, reason = stats.get("state.state", -1), stats.get("state.reason", 0)
    state = _STATES.get(code, DomainState.UNKNOWN)
    if state is DomainState.PAUSED:
        return state, PAUSES.get(reason, Pause.UNKNOWN)
    # With <on_crash>preserve</on_crash> QEMU stays, to be looked at.
    if state is DomainState.CRASHED and handle.isActive():
        return DomainState.PAUSED, Pause.PANIC
    if state is DomainState.HALTED and is_saved:
        return DomainState.SAVED, None
    if state is DomainState.HALTED and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return DomainState.CRASHED, None
    return state, None


async def read_flags(connection: LibvirtConnection) -> Flags:
    """Return what libvirt has no events for: which domains start with the host, or have a saved state."""
    return await connection.call("list the domains", _flags)


async def read_domains(connection: LibvirtConnection, uuids: Sequence[str]) -> dict[str, Domain]:
    """Return fresh snapshots of some domains, without their XML; what is gone is left out."""
    known = [(uuid, connection.handles.get(uuid)) for uuid in uuids]
    return await connection.call("read the domains", _read_now, connection.uri, known)


def _read_now(raw: libvirt.virConnect, uri: str, known: list[tuple[str, Handle | None]]) -> dict[str, Domain]:
    found = {}
    for uuid, at_hand in known:
        try:
            handle = looked_up(raw, uuid, at_hand)
            stats = _single_state(handle)
            flags = _single_flags(uuid, handle, stats)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            continue
        found[uuid] = _snapshot(uri, uuid, handle, stats, flags)
    return found


def _single_flags(uuid: str, handle: Handle, stats: dict[str, int]) -> Flags:
    this, none = frozenset((uuid,)), frozenset[str]()
    if not handle.isPersistent():
        return Flags(this, none, none)
    may_be_saved = stats["state.state"] == libvirt.VIR_DOMAIN_SHUTOFF
    saved = this if may_be_saved and _has_saved_state(handle) else none
    return Flags(none, this if handle.autostart() else none, saved)


def _has_saved_state(handle: Handle) -> bool:
    try:
        return bool(handle.hasManagedSaveImage())
    except libvirt.libvirtError as error:
        # Not all drivers can save.
        if not is_unsupported(error):
            raise
        return False


async def read_disk_errors(connection: LibvirtConnection, uuid: str) -> tuple[DiskError, ...]:
    """Return which disks of a domain are in trouble, as QEMU itself still knows; empty where the driver cannot say."""

    def read(handle: Handle) -> tuple[DiskError, ...]:
        try:
            found = handle.diskErrors()
        except libvirt.libvirtError as error:
            if not is_unsupported(error):
                raise
            return ()
        full = libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE
        return tuple(DiskError(target, code == full) for target, code in sorted(found.items())[:_MAX_DISK_ERRORS])

    return await connection.on_domain(uuid, "read disk errors", read, timeout=_DISK_ERROR_TIMEOUT)


async def read_configs(
    connection: LibvirtConnection, uuids: Sequence[str], turn: float = _TURN, saved: Collection[str] = ()
) -> dict[str, DomainConfig | None]:
    """Return the XML's content of the first of *uuids*, as many as fit *turn* seconds; None for what is gone.

    Those that are *saved* have the disks that their saved state goes on with, whatever was configured since.
    """
    handles = [(uuid, connection.handles.get(uuid)) for uuid in uuids]
    timeout = turn + _LIST_TIMEOUT
    return await connection.call("read the domains’ XML", _configs_now, handles, turn, saved, timeout=timeout)


def _configs_now(
    raw: libvirt.virConnect, handles: list[tuple[str, Handle | None]], turn: float, saved: Collection[str]
) -> dict[str, DomainConfig | None]:
    end = time.monotonic() + turn
    found: dict[str, DomainConfig | None] = {}
    for uuid, handle in handles:
        try:
            found[uuid] = _config(looked_up(raw, uuid, handle), uuid in saved)
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


def _config(handle: Handle, is_saved: bool) -> DomainConfig:
    config = parse_config(handle.XMLDesc())
    if is_saved:
        # It may have been started or discarded by now, and not all drivers tell what they saved.
        with contextlib.suppress(libvirt.libvirtError):
            return replace(config, disks=parse_config(handle.managedSaveGetXMLDesc()).disks)
    return config


async def read_stored_configs(connection: LibvirtConnection, uuids: Sequence[str]) -> dict[str, DomainConfig]:
    """Return what domains that run, or are saved, have stored; transient ones have nothing, and are left out."""
    handles = [(uuid, connection.handles.get(uuid)) for uuid in uuids]

    def read(raw: libvirt.virConnect) -> dict[str, DomainConfig]:
        found = {}
        for uuid, known in handles:
            try:
                handle = looked_up(raw, uuid, known)
                if handle.isPersistent():
                    found[uuid] = parse_config(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        return found

    # A host far away takes its time for each.
    timeout = CALL_TIMEOUT + len(handles)
    return await connection.call("read the domains’ XML", read, timeout=timeout)


async def read_samples(connection: LibvirtConnection, uuids: Sequence[str]) -> list[Sample]:
    """Return the counters of some running domains, by one bulk call."""
    handles = [handle for uuid in uuids if (handle := connection.handles.get(uuid))]
    if not handles:
        return []
    return await connection.call("read statistics", _samples_now, handles, timeout=_SAMPLES_TIMEOUT)


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


async def read_addresses(connection: LibvirtConnection, uuid: str) -> tuple[tuple[str, ...], bool]:
    """Return the IP addresses of a running domain, and whether its agent answered; else they are the network's leases.

    An agent costs ``patience_for(PATIENCE)`` seconds at most.
    """

    def ask_agent(handle: Handle) -> tuple[str, ...]:
        with agent_may_take(handle, PATIENCE):
            return _addresses(handle, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)

    found: tuple[str, ...] = ()
    try:
        found = await connection.on_agent(uuid, "ask the guest for its addresses", ask_agent, patience_for(PATIENCE))
        answered = True
    except (TimedOut, HostCallFailed):
        answered = False
    if not found:
        lease = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
        with contextlib.suppress(HostCallFailed):
            found = await connection.on_domain(uuid, "read IP addresses", _addresses, lease)
    return found, answered


def _addresses(handle: Handle, source: int) -> tuple[str, ...]:
    interfaces = handle.interfaceAddresses(source)
    told = (a["addr"] for interface in interfaces.values() for a in interface["addrs"] or ())
    return tuple(filter(_is_useful_address, itertools.islice(told, _MOST_TOLD)))[:_MOST_ADDRESSES]


def _is_useful_address(text: str) -> bool:
    """Whether *text*, which a guest may have chosen, is an address that another machine could use."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local)
