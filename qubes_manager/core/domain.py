"""The snapshot of one libvirt domain."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import PurePath

from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.firewall.isolation import is_ours
from qubes_manager.core.hardware import Disk, SoundDevice
from qubes_manager.core.interfaces import ISOLATED, OPEN, Interface
from qubes_manager.core.labels import LABELS, Label
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.pauses import DiskError, Pause, pause_words
from qubes_manager.core.volumes import DEFAULT_KEEP, OwnVolume, Role

# In the place of a domain's UUID, of which any may be taken, the nil one too.
HOST_UUID = HOST_NAME
# The virtio-serial port that qemu-guest-agent answers through, and that application windows come through.
AGENT_PORT = "org.qemu.guest_agent.0"
GUI_PORT = "org.qubes_manager.gui.0"
# The feature that says which guest tools a template or a standalone domain has.
TOOLS_FEATURE = "guest-tools"
# A template with this feature has what application windows come from.
GUI_FEATURE = "gui"

# A feature: the domain serves others, and is left out where people choose one.
INTERNAL = "internal"
# In the place of what a domain's disposables are made of: it may not ask for any. No domain is called so.
NO_DISPOSABLES = "none"


class DomainState(StrEnum):
    """The power states shown to users."""

    RUNNING = "Running"
    PAUSED = "Paused"
    SUSPENDED = "Suspended"
    HALTING = "Halting"
    SAVED = "Saved"
    HALTED = "Halted"
    CRASHED = "Crashed"
    UNKNOWN = "NA"

    @property
    def is_active(self) -> bool:
        """Whether a domain in this state has a QEMU process."""
        return self is not DomainState.SAVED and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether its last run has ended; a saved one has not: it goes on at the next start, as it was configured."""
        return self in (DomainState.HALTED, DomainState.CRASHED, DomainState.UNKNOWN)


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


class Disposal(Enum):
    """When a disposable that libvirt forgets at its end is to end.

    HELD: when its first program has ended and no window is open. KEPT: when somebody ends it. PRELOADED: it has booted
    and stands still, until somebody wants one.
    """

    HELD = "held"
    KEPT = "kept"
    PRELOADED = "preloaded"


class Ending(Enum):
    """How a halted domain's last run ended, as far as libvirt still knows.

    SAVED is one without a saved state: it was saved to a file that only its user knows, or the state is discarded.
    """

    UNKNOWN = "unknown"
    CLEAN = "clean"
    KILLED = "killed"
    SAVED = "saved"


@dataclass(frozen=True, slots=True, order=True)
class DomainKey:
    """What tells a domain from all others: the URI of its connection and its UUID."""

    connection: str
    uuid: str


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
    # Whose network it has: another domain's, or “open” for networking that is not kept apart; empty for this machine's.
    # Its firewall's rules, one on a line (None: as new domains have them), and “on” where they let it into the home
    # network (core/firewall).
    network: str = ""
    network_uuid: str = ""
    firewall: str | None = None
    home_network: str = ""
    # What plays its sound (core/sound.py), and whether nothing of it is to be heard.
    audiovm: str = ""
    muted: bool = False
    revision: int = 0
    trial: int = 0
    keep_revisions: int = DEFAULT_KEEP
    # Of a disposable: when it ends, what it was made of (a digest), and the number that its first program has for its
    # agent.
    disposal: Disposal | None = None
    made_of: str = ""
    program: int = 0
    job: Job | None = None
    job_by: str = ""
    tags: frozenset[str] = frozenset()
    features: tuple[tuple[str, str], ...] = ()
    volumes: tuple[OwnVolume, ...] = ()
    notes: str = ""
    # libvirt's, which it lets be changed while a domain runs.
    title: str = ""
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
    # Devices that it is to have (core/devices), what it has of those that are no disks, and kinds that it never gets.
    assignments: tuple[Assignment, ...] = ()
    host_devices: tuple[HostDevice, ...] = ()
    devices_denied: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    console_log: str = ""
    sound: SoundDevice | None = None
    # The program that libvirt starts as QEMU.
    emulator: str = ""
    # The guest's agent had opened its port when this was read.
    agent_heard: bool = False
    gui_port: bool = False
    # All the ports that what crosses between domains goes through.
    crossing_ports: bool = False
    # Applications that its menu shows (None: all of them), and those that come first.
    menu: tuple[str, ...] | None = None
    favourites: tuple[str, ...] = ()

    @property
    def netvm(self) -> str:
        """What the first network interface connects to, in one word; empty without an interface."""
        if self._is_apart:
            return self.network if self.network_uuid else ISOLATED
        return self._first.netvm if self._first else ""

    @property
    def via(self) -> str:
        """The UUID of the domain whose network it has; empty where it has none of another domain."""
        return self.network_uuid if self._is_apart else ""

    @property
    def upstream(self) -> tuple[Interface, ...]:
        """The interfaces by which it is connected itself, and not others to it."""
        return tuple(interface for interface in self.interfaces if not interface.is_downstream)

    @property
    def _first(self) -> Interface | None:
        return next(iter(self.upstream), None)

    @property
    def _is_apart(self) -> bool:
        return self.is_isolated and self._first is not None and self._first.is_plain_user

    @property
    def open_network(self) -> bool:
        """Whether its user has chosen networking that is not kept apart."""
        return self.network == OPEN and not self.network_uuid

    @property
    def is_isolated(self) -> bool:
        """Whether its user networking is kept apart from this machine."""
        return is_ours(self.emulator)

    def volume(self, role: Role) -> OwnVolume | None:
        """The volume that plays *role* now: of a root's revisions the current one."""
        wanted = self.revision if role is Role.ROOT else 0
        return next((v for v in self.volumes if v.role is role and v.revision == wanted and not v.unfinished), None)

    def disk(self, role: Role) -> Disk | None:
        """The disk that *role* is attached as; the root has no serial number of its own but comes first."""
        fitting = (d for d in self.disks if d.kind == "disk")
        if role is Role.ROOT:
            # Somebody may have taken the root away.
            return next((d for d in fitting if d.serial != Role.PRIVATE.value), None)
        return next((d for d in fitting if d.serial == role.value), None)


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
    pause: Pause | None = None
    disk_errors: tuple[DiskError, ...] = ()

    @property
    def title(self) -> str:
        """What its user calls a disposable; libvirt renames no domain that runs, and a disposable always does."""
        return self.config.title if self.is_disposable else ""

    @property
    def shown_name(self) -> str:
        """What people read in the place of its name: its title, with its name behind."""
        return f"{self.title} ({self.name})" if self.title else self.name

    @property
    def reason(self) -> str:
        """Why it is in its state, in words; empty where there is nothing to say."""
        if self.only_waits:
            return "waits for its use" if self.is_preloaded else "gets ready for its use"
        return pause_words(self.pause, self.disk_errors) if self.pause else self.stray_run

    @property
    def stray_run(self) -> str:
        """What becomes of what a template writes that another program started; empty for any other run."""
        config = self.config
        disk, current = config.disk(Role.ROOT), config.volume(Role.ROOT)
        if self.klass is not DomainClass.TEMPLATE or not self.state.is_active or config.trial or not (disk and current):
            return ""
        if disk.transient:
            return "its changes are not kept"
        return "it writes into its current revision" if PurePath(disk.source).name == current.name else ""

    @property
    def state_text(self) -> str:
        """Its state, with the reason where there is one: ``Paused: no space for vdb``."""
        return f"{self.state.value}: {self.reason}" if self.reason else self.state.value

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
    def is_disposable(self) -> bool:
        """Whether it is gone with all that is in it when it stops; a named disposable stays in the list."""
        return self.klass is DomainClass.DISPOSABLE and not self.persistent

    @property
    def is_preloaded(self) -> bool:
        """Whether it is a disposable that waits to be used."""
        return self.is_disposable and self.config.disposal is Disposal.PRELOADED

    @property
    def only_waits(self) -> bool:
        """Whether it is a disposable that is ready for its use, or getting so: nothing of anybody's is in it."""
        return self.is_disposable and self.is_internal

    @property
    def is_internal(self) -> bool:
        """Whether it is of no concern to people, and left out where they choose a domain."""
        return any(name == INTERNAL and value for name, value in self.config.features)

    @property
    def guest_tools(self) -> str:
        """The digest of the guest tools that it has of its own; empty without any, as far as is known."""
        return dict(self.config.features).get(TOOLS_FEATURE, "")

    @property
    def has_gui(self) -> bool:
        """Whether it runs and has the port that windows come through, which are of concern to people."""
        return self._can_be_talked_to and self.config.gui_port and not self.is_internal

    @property
    def has_crossing(self) -> bool:
        """Whether it runs and has the ports for what crosses between domains."""
        return self._can_be_talked_to and self.config.crossing_ports

    @property
    def _can_be_talked_to(self) -> bool:
        # Before libvirt has told its number, a start is not over.
        return not self.is_host and not self.stale and self.state.is_active and self.id >= 0

    @property
    def is_busy(self) -> bool:
        """Whether something is being done to it that forbids anything else."""
        return self.activity is not None or self.config.job is not None

    @property
    def memory_kib(self) -> int:
        """What it has now when running, what it will have otherwise."""
        return self.usage.memory_kib or self.config.initial_memory_kib
