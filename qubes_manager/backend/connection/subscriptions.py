"""libvirt's event callbacks, turned into typed events."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import libvirt
import libvirt_qemu

from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind

log = logging.getLogger(__name__)

# libvirt's virDomain; the bindings carry no types.
Handle = Any
Emit = Callable[[Event, Handle | None], None]

_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: DomainEventKind.DEFINED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: DomainEventKind.UNDEFINED,
    libvirt.VIR_DOMAIN_EVENT_STARTED: DomainEventKind.STARTED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: DomainEventKind.STOPPED,
}
_AGENT = {
    libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED: DomainEventKind.AGENT_CONNECTED,
    libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED: DomainEventKind.AGENT_DISCONNECTED,
}
# libvirt's event id, what it means to us, and which of its arguments is the detail (a device alias or path).
_SIMPLE = (
    (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, DomainEventKind.REBOOT, None),
    (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, DomainEventKind.METADATA, None),
    (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, DomainEventKind.DEVICE_ADDED, 0),
    (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, DomainEventKind.DEVICE_REMOVED, 0),
    (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, DomainEventKind.DEVICE_REMOVAL_FAILED, 0),
    (libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, DomainEventKind.BALLOON, None),
    (libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE, DomainEventKind.DISK, None),
    (libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, DomainEventKind.DISK, 0),
    (libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, DomainEventKind.DISK, 0),
    (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR, DomainEventKind.DISK, 1),
)


class Subscriptions:
    """All callbacks of one connection. Callbacks run in libvirt's event thread and only call *emit*."""

    def __init__(self, connection: libvirt.virConnect, emit: Emit) -> None:
        self._connection = connection
        self._emit = emit
        self._domain: list[int] = []
        self._node: list[int] = []
        self._monitor: list[int] = []

    def register(self) -> None:
        """Register whatever the driver has; what it lacks is left out. Blocks."""
        self._add_domain(libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle)
        self._add_domain(libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._on_agent)
        for event_id, kind, position in _SIMPLE:
            self._add_domain(event_id, self._simple(kind, position))
        with self._optional("serial ports"):
            # Of the guest's ports libvirt itself tells the agent's only.
            number = libvirt_qemu.qemuMonitorEventRegister(
                self._connection, None, "VSERPORT_CHANGE", self._on_port, None
            )
            self._monitor.append(number)
        with self._optional("node devices"):
            for event_id in (libvirt.VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE, libvirt.VIR_NODE_DEVICE_EVENT_ID_UPDATE):
                self._node.append(self._connection.nodeDeviceEventRegisterAny(None, event_id, self._on_node, None))

    def deregister(self) -> None:
        """Take all callbacks away, so that the connection can be freed. Blocks."""
        connection = self._connection
        for numbers, take_away in (
            (self._monitor, partial(libvirt_qemu.qemuMonitorEventDeregister, connection)),
            (self._domain, connection.domainEventDeregisterAny),
            (self._node, connection.nodeDeviceEventDeregisterAny),
        ):
            for number in numbers:
                # Where the host is gone libvirt complains of each, and takes it away on this side all the same.
                with contextlib.suppress(libvirt.libvirtError):
                    take_away(number)

    def _add_domain(self, event_id: int, callback: Callable[..., None]) -> None:
        with self._optional(f"domain event {event_id}"):
            self._domain.append(self._connection.domainEventRegisterAny(None, event_id, callback, None))

    @contextlib.contextmanager
    def _optional(self, name: str) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as error:
            log.debug("the driver has no events for %s: %s", name, error)

    def _on_lifecycle(self, _connection: object, domain: Handle, event: int, detail: int, _opaque: object) -> None:
        kind = _LIFECYCLE.get(event, DomainEventKind.STATE)
        self._emit(DomainEvent(domain.UUIDString(), kind, str(detail)), domain)

    def _on_agent(self, _connection: object, domain: Handle, state: int, _reason: int, _opaque: object) -> None:
        if kind := _AGENT.get(state):
            self._emit(DomainEvent(domain.UUIDString(), kind), domain)

    def _on_port(
        self, _connection: object, domain: Handle, _event: str, _s: int, _us: int, details: str, _opaque: object
    ) -> None:
        # QEMU's own words (qapi/char.json), not the guest's.
        change = json.loads(details)
        kind = DomainEventKind.PORT_OPENED if change["open"] else DomainEventKind.PORT_CLOSED
        self._emit(DomainEvent(domain.UUIDString(), kind, change["id"]), domain)

    def _simple(self, kind: DomainEventKind, position: int | None) -> Callable[..., None]:
        def callback(_connection: object, domain: Handle, *args: object) -> None:
            detail = "" if position is None else str(args[position])
            self._emit(DomainEvent(domain.UUIDString(), kind, detail), domain)

        return callback

    def _on_node(self, *_args: object) -> None:
        self._emit(HostEvent(HostEventKind.NODE_DEVICES), None)
