"""The snapshot of one libvirt domain."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from qubes_manager.core.labels import LABELS, Label
from qubes_manager.core.volumes import DEFAULT_KEEP, OwnVolume, Role

HOST_UUID = "00000000-0000-0000-0000-000000000000"
HOST_NAME = "dom0"
# The virtio-serial port that application windows come through.
GUI_PORT = "org.qubes_manager.gui.0"


class DomainState(StrEnum):
    """The power states shown to users."""

    RUNNING = "Running"
    PAUSED = "Paused"
    SUSPENDED = "Suspended"
    HALTING = "Halting"
    HALTED = "Halted"
    CRASHED = "Crashed"
    UNKNOWN = "NA"

    @property
    def is_active(self) -> bool:
        """Whether a domain in this state has a QEMU process."""
        return self not in (DomainState.HALTED, DomainState.CRASHED, DomainState.UNKNOWN)


class DomainClass(StrEnum):
    """What part a domain plays."""

    ADMIN = "AdminVM"
    TEMPLATE = "TemplateVM"
    APP = "AppVM"
    STANDALONE = "StandaloneVM"
    DISPOSABLE = "DispVM"


class Activity(Enum):
    """What this program is doing to a domain just now; shown in its row."""

    STARTING = "Starting…"
    HALTING = "Shutting down…"
    RESTARTING = "Restarting…"
    KILLING = "Killing…"
    REMOVING = "Deleting…"
    SETTLING = "Keeping its changes…"
    COPYING = "Copying…"


class Job(Enum):
    """A change of several steps that was begun on a domain and not finished; recorded before the first step."""

    CREATE = "create"
    REMOVE = "remove"


class Ending(Enum):
    """How a halted domain's last run ended, as far as libvirt still knows."""

    UNKNOWN = "unknown"
    CLEAN = "clean"
    KILLED = "killed"


@dataclass(frozen=True, slots=True, order=True)
class DomainKey:
    """What tells a domain from all others: the URI of its connection and its UUID."""

    connection: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of a domain: target name, bus, kind (disk or cdrom), where its bytes are, and how it is attached."""

    target: str
    bus: str = ""
    kind: str = "disk"
    source: str = ""
    pool: str = ""
    read_only: bool = False
    transient: bool = False
    serial: str = ""
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface: its kind (network, bridge, user, …), what it connects to, MAC address and model."""

    kind: str
    source: str = ""
    mac: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """What the domain's XML says; loaded after the first paint."""

    label: Label | None = None
    klass: DomainClass = DomainClass.STANDALONE
    template: str = ""
    default_dispvm: str = ""
    include_in_backups: bool = True
    template_uuid: str = ""
    default_dispvm_uuid: str = ""
    template_for_dispvms: bool = False
    provides_network: bool = False
    revision: int = 0
    trial: int = 0
    keep_revisions: int = DEFAULT_KEEP
    job: Job | None = None
    job_by: str = ""
    tags: frozenset[str] = frozenset()
    features: tuple[tuple[str, str], ...] = ()
    volumes: tuple[OwnVolume, ...] = ()
    notes: str = ""
    virt_type: str = ""
    emulated: bool = False
    machine: str = ""
    maximum_memory_kib: int = 0
    initial_memory_kib: int = 0
    vcpus: int = 0
    kernel: str = ""
    initrd: str = ""
    kernelopts: str = ""
    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    console_log: str = ""
    gui_port: bool = False
    # Applications that its menu shows (None: all of them), and those that come first.
    menu: tuple[str, ...] | None = None
    favourites: tuple[str, ...] = ()

    @property
    def netvm(self) -> str:
        """What the first network interface connects to; empty without an interface."""
        if not self.interfaces:
            return ""
        first = self.interfaces[0]
        return first.source or first.kind

    def volume(self, role: Role) -> OwnVolume | None:
        """The volume that plays *role* now: of a root's revisions the current one."""
        wanted = self.revision if role is Role.ROOT else 0
        return next((v for v in self.volumes if v.role is role and v.revision == wanted and not v.unfinished), None)

    def disk(self, role: Role) -> Disk | None:
        """The disk that *role* is attached as; the root has no serial number of its own but comes first."""
        fitting = (d for d in self.disks if d.kind == "disk")
        return next((d for d in fitting if role is Role.ROOT or d.serial == role.value), None)


class _UnreadConfig(DomainConfig):
    """Equals no configuration that was read, however empty: whoever compares snapshots sees that the XML has come."""

    __slots__ = ()


# What all domains share whose XML has not been read.
UNREAD: DomainConfig = _UnreadConfig()


@dataclass(frozen=True, slots=True)
class Usage:
    """Live figures of a domain: CPU in per cent of its own vCPUs (newest last), disk in bytes."""

    cpu_history: tuple[float, ...] = ()
    memory_kib: int = 0
    disk_allocation: int | None = None
    disk_capacity: int | None = None
    private_allocation: int | None = None
    private_capacity: int | None = None
    addresses: tuple[str, ...] = ()

    @property
    def cpu_percent(self) -> float | None:
        """The newest CPU figure, or None before the second poll."""
        return self.cpu_history[-1] if self.cpu_history else None


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain at one moment, as libvirt told it. ``config`` says nothing until its XML was read: see ``is_read``."""

    key: DomainKey
    name: str
    state: DomainState
    id: int = -1
    persistent: bool = True
    autostart: bool = False
    config: DomainConfig = UNREAD
    usage: Usage = Usage()
    activity: Activity | None = None
    agent: bool | None = None
    stale: bool = False
    outdated: bool = False
    ending: Ending = Ending.UNKNOWN

    @property
    def is_host(self) -> bool:
        """Whether this row is the host itself."""
        return self.key.uuid == HOST_UUID

    @property
    def is_read(self) -> bool:
        """Whether its XML has been read; what ``config`` does not name is only then not there."""
        return not isinstance(self.config, _UnreadConfig)

    @property
    def klass(self) -> DomainClass | None:
        """The domain's class; None while its XML has not been read."""
        if self.is_host:
            return DomainClass.ADMIN
        return self.config.klass if self.is_read else None

    @property
    def label(self) -> Label | None:
        """The domain's trust colour, if it has one."""
        if self.is_host:
            return LABELS["black"]
        return self.config.label

    @property
    def has_gui(self) -> bool:
        """Whether it runs and has the port that windows come through."""
        # Before libvirt has told its number, a start is not over.
        runs = self.state.is_active and self.id >= 0
        return not self.is_host and not self.stale and runs and self.config.gui_port

    @property
    def is_busy(self) -> bool:
        """Whether something is being done to it that forbids anything else."""
        return self.activity is not None or self.config.job is not None

    @property
    def memory_kib(self) -> int:
        """What it has now when running, what it will have otherwise."""
        return self.usage.memory_kib or self.config.initial_memory_kib
