"""The table's columns, as data."""

from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainState, Job
from qubes_manager.core.labels import LABELS
from qubes_manager.core.sizes import format_size
from qubes_manager.services.domains.tool_versions import tools_text

_STATE_ORDER = {state: index for index, state in enumerate(DomainState)}

SortKey = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class DomainColumn:
    """A column: its title, what it shows, how it sorts, and how it starts out. *width* is in pixels at 100 %."""

    id: str
    title: str
    text: Callable[[Domain, DomainConfig], str]
    width: int = 110
    visible: bool = True
    right: bool = False
    sort: Callable[[Domain, DomainConfig], SortKey] | None = None
    about: str = ""

    def value(self, domain: Domain) -> str:
        """The cell's text."""
        return self.text(domain, domain.config)

    def sort_key(self, domain: Domain) -> SortKey:
        """What the column sorts by; names decide among equals."""
        if self.sort:
            return (*self.sort(domain, domain.config), domain.name)
        return (self.value(domain).casefold(), domain.name)


_JOBS = {Job.CREATE: "Creating…", Job.REMOVE: "Deleting…"}


def _state(domain: Domain, config: DomainConfig) -> str:
    if domain.activity:
        return domain.activity.value
    if config.job:
        return _JOBS[config.job]
    return f"{domain.state_text}, restart to update" if domain.outdated else domain.state_text


def _autostart(domain: Domain, _config: DomainConfig) -> str:
    if not domain.autostart:
        return ""
    return "yes, but it is a template" if domain.klass is DomainClass.TEMPLATE else "yes"


def _cpu(domain: Domain, _config: DomainConfig) -> str:
    percent = domain.usage.cpu_percent
    return "" if percent is None else f"{percent:.0f} %"


def _memory(domain: Domain, _config: DomainConfig) -> str:
    return format_size(domain.memory_kib * 1024) if domain.memory_kib else ""


def _disk(domain: Domain, _config: DomainConfig) -> str:
    taken = domain.usage.disk_allocation
    return "" if taken is None else format_size(taken)


def _backup(domain: Domain, config: DomainConfig) -> str:
    if domain.is_host or not domain.is_read:
        return ""
    return "included" if config.include_in_backups else "left out"


COLUMNS: tuple[DomainColumn, ...] = (
    DomainColumn("state", "State", _state, 130, sort=lambda d, c: (_STATE_ORDER[d.state],), about="power state"),
    DomainColumn(
        "name",
        "Name",
        lambda d, c: d.shown_name,
        150,
        sort=lambda d, c: (not d.is_host, d.shown_name.casefold()),
        about="the domain’s name and its label’s colour",
    ),
    DomainColumn(
        "label",
        "Label",
        lambda d, c: d.label.name if d.label else "",
        80,
        sort=lambda d, c: (d.label.index if d.label else len(LABELS) + 1,),
        about="trust colour",
    ),
    DomainColumn("class", "Class", lambda d, c: d.klass.value if d.klass else "", 110, about="what part it plays"),
    DomainColumn("template", "Template", lambda d, c: c.template, 100, about="where its system comes from"),
    DomainColumn("netvm", "NetVM", lambda d, c: c.netvm, 90, about="what its network interface connects to"),
    DomainColumn(
        "cpu",
        "CPU",
        _cpu,
        95,
        right=True,
        sort=lambda d, c: (d.usage.cpu_percent if d.usage.cpu_percent is not None else -1.0,),
        about="processor time, of its own virtual CPUs",
    ),
    DomainColumn("memory", "Memory", _memory, 90, right=True, sort=lambda d, c: (d.memory_kib,), about="memory"),
    DomainColumn(
        "disk",
        "Disk",
        _disk,
        90,
        right=True,
        sort=lambda d, c: (-1 if d.usage.disk_allocation is None else d.usage.disk_allocation,),
        about="what its disks take on the host",
    ),
    DomainColumn("ip", "IP", lambda d, c: ", ".join(d.usage.addresses), 120, about="addresses"),
    DomainColumn("autostart", "Autostart", _autostart, 80, about="starts with the host"),
    DomainColumn("default_dispvm", "Default disposable", lambda d, c: c.default_dispvm, 130, visible=False),
    DomainColumn("backup", "Backup", _backup, 80, visible=False, about="whether backups take it"),
    DomainColumn(
        "tools",
        "Guest tools",
        lambda d, c: tools_text(d),
        100,
        visible=False,
        about="what crosses between domains needs",
    ),
    DomainColumn("host", "Host", lambda d, c: d.key.connection, 180, visible=False, about="the libvirt that has it"),
)

COLUMN_INDEX: dict[str, int] = {column.id: index for index, column in enumerate(COLUMNS)}
