"""What a libvirt host tells us, as small typed values."""

from dataclasses import dataclass
from enum import Enum, auto


class DomainEventKind(Enum):
    """What happened to a domain."""

    STARTED = auto()
    STOPPED = auto()
    STATE = auto()
    DEFINED = auto()
    UNDEFINED = auto()
    METADATA = auto()
    DEVICE_ADDED = auto()
    DEVICE_REMOVED = auto()
    DEVICE_REMOVAL_FAILED = auto()
    AGENT_CONNECTED = auto()
    AGENT_DISCONNECTED = auto()
    DISK = auto()
    BALLOON = auto()
    REBOOT = auto()
    PORT_OPENED = auto()
    PORT_CLOSED = auto()


# After these the domain's XML may say something else than before.
CONFIG_EVENTS = frozenset(
    {
        DomainEventKind.STARTED,
        DomainEventKind.STOPPED,
        DomainEventKind.DEFINED,
        DomainEventKind.UNDEFINED,
        DomainEventKind.METADATA,
        DomainEventKind.DEVICE_ADDED,
        DomainEventKind.DEVICE_REMOVED,
        DomainEventKind.DISK,
    }
)


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something happened to the domain *uuid*; *detail* is a device alias or a reason."""

    uuid: str
    kind: DomainEventKind
    detail: str = ""


class HostEventKind(Enum):
    """What happened to a host; the REFRESH kinds are our own: somebody wants to look again."""

    NODE_DEVICES = auto()
    CLOSED = auto()
    REFRESH_FLAGS = auto()
    REFRESH_ALL = auto()


@dataclass(frozen=True, slots=True)
class HostEvent:
    """Something happened to the host itself; *detail* is the reason of a closed connection."""

    kind: HostEventKind
    detail: str = ""


Event = DomainEvent | HostEvent
