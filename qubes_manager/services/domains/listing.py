"""The table that qvm-ls prints: columns and formats as data."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from unicodedata import category, east_asian_width

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput
from qubes_manager.services.domains.property_table import PROPERTIES

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what it shows, and how it gets its value."""

    name: str
    about: str
    value: Callable[[Domain, DomainConfig], str]


def _ip(domain: Domain, _config: DomainConfig) -> str:
    return domain.usage.addresses[0] if domain.usage.addresses else ""


def _mib(count: int | None) -> str:
    return "" if count is None else str(count >> 20)


def _kib_in_mib(kib: int) -> str:
    return str(kib // 1024) if kib else ""


def _percent(part: int | None, whole: int | None) -> str:
    return f"{100 * part / whole:.0f}%" if part is not None and whole else ""


def _root(domain: Domain) -> tuple[int | None, int | None]:
    """What all disks but the private one take, and have."""
    usage = domain.usage
    if usage.disk_allocation is None or usage.disk_capacity is None:
        return None, None
    return usage.disk_allocation - (usage.private_allocation or 0), usage.disk_capacity - (usage.private_capacity or 0)


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("NAME", "the domain's name", lambda d, c: d.name),
        Column("TITLE", "what its user calls a disposable", lambda d, c: d.title),
        Column("STATE", "power state", lambda d, c: d.state.value),
        Column("REASON", "why it is in its state: what a pause waits for", lambda d, c: d.reason),
        Column("CLASS", "what part it plays", lambda d, c: d.klass.value if d.klass else ""),
        Column("LABEL", "trust colour", lambda d, c: d.label.name if d.label else ""),
        Column("TEMPLATE", "where its system comes from", lambda d, c: c.template),
        Column("NETVM", "what its network interface connects to", lambda d, c: c.netvm),
        Column("QID", "libvirt's number while it runs", lambda d, c: str(d.id) if d.id >= 0 else ""),
        Column("XID", "as QID", lambda d, c: str(d.id) if d.id >= 0 else ""),
        Column("UUID", "what tells it from all others", lambda d, c: "" if d.is_host else d.key.uuid),
        Column("IP", "its address", _ip),
        Column("IPBACK", "unused: addresses are given by libvirt's networks", lambda d, c: ""),
        Column("GATEWAY", "unused: addresses are given by libvirt's networks", lambda d, c: ""),
        Column("KERNEL", "a kernel given from outside", lambda d, c: c.kernel),
        Column("KERNELOPTS", "its options", lambda d, c: c.kernelopts),
        Column("MEMORY", "memory in MiB", lambda d, c: _kib_in_mib(d.memory_kib)),
        Column("INITIALMEM", "memory at start, in MiB", lambda d, c: _kib_in_mib(c.initial_memory_kib)),
        Column("MAXMEM", "most memory, in MiB", lambda d, c: _kib_in_mib(c.maximum_memory_kib)),
        Column("VCPUS", "virtual CPUs", lambda d, c: str(c.vcpus) if c.vcpus else ""),
        Column("VIRT_MODE", "kvm, or qemu for software emulation", lambda d, c: c.virt_type),
        Column("AUTOSTART", "starts with the host", lambda d, c: "" if d.is_host else str(d.autostart)),
        Column("DISK", "MiB that its disks take", lambda d, c: _mib(d.usage.disk_allocation)),
        Column("ROOT-CURR", "MiB that its system takes", lambda d, c: _mib(_root(d)[0])),
        Column("ROOT-MAX", "MiB that its system has", lambda d, c: _mib(_root(d)[1])),
        Column("ROOT-USED", "MiB that its system takes", lambda d, c: _mib(_root(d)[0])),
        Column("ROOT-%", "used of all", lambda d, c: _percent(*_root(d))),
        Column("PRIV-CURR", "MiB that its private data take", lambda d, c: _mib(d.usage.private_allocation)),
        Column("PRIV-MAX", "MiB that its private data may take", lambda d, c: _mib(d.usage.private_capacity)),
        Column("PRIV-USED", "MiB that its private data take", lambda d, c: _mib(d.usage.private_allocation)),
        Column("PRIV-%", "used of all", lambda d, c: _percent(d.usage.private_allocation, d.usage.private_capacity)),
        Column("TAGS", "its tags", lambda d, c: ",".join(sorted(c.tags))),
        Column("CONNECTION", "the libvirt that has it", lambda d, c: d.key.connection),
    )
}

FORMATS: dict[str, str] = {
    "simple": "NAME,STATE,CLASS,LABEL,TEMPLATE,NETVM",
    "network": "NAME,STATE,NETVM,IP,IPBACK,GATEWAY",
    "kernel": "NAME,STATE,CLASS,TEMPLATE,KERNEL,KERNELOPTS",
    "full": "NAME,STATE,CLASS,LABEL,QID,XID,UUID",
    "prefs": "NAME,LABEL,TEMPLATE,NETVM,VCPUS,INITIALMEM,MAXMEM,VIRT_MODE",
    "disk": "NAME,STATE,DISK,PRIV-CURR,PRIV-MAX,PRIV-USED,PRIV-%,ROOT-CURR,ROOT-MAX,ROOT-USED,ROOT-%",
}


def find_columns(names: Iterable[str]) -> list[Column]:
    """Return columns by name; a property's name is a column too. Raises BadInput."""
    found = []
    for name in names:
        if column := COLUMNS.get(name.upper()):
            found.append(column)
        elif prop := PROPERTIES.get(name.lower()):
            found.append(Column(name.upper(), prop.about, prop.read))
        else:
            raise BadInput("field", name[:80], f"use some of {', '.join(COLUMNS)}, or a property")
    return found


def cells(domain: Domain, columns: Sequence[Column]) -> list[str]:
    """The domain's values; ``-`` where one does not apply."""
    return [column.value(domain, domain.config) or NOTHING for column in columns]


def align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their heads, in columns."""
    table = [head, *rows]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(_padded, row, widths)).rstrip() for row in table)
    return "\n".join(lines)


def _padded(text: str, width: int) -> str:
    # Ahead of what is wide or combines, ljust counts wrongly.
    return text.ljust(width) if text.isascii() else text + " " * (width - _width(text))


def _width(text: str) -> int:
    """How many places of a terminal *text* takes (Unicode's East Asian width; marks stand upon the letter before)."""
    if text.isascii():
        return len(text)
    return sum(0 if category(c) in ("Mn", "Me") else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def table(domains: Iterable[Domain], fields: str = FORMATS["simple"]) -> str:
    """The whole table as text, sorted as qvm-ls sorts by default."""
    columns = find_columns(fields.split(","))
    rows = [cells(domain, columns) for domain in sorted(domains, key=lambda d: (not d.is_host, d.name))]
    return align([column.name for column in columns], rows)


def as_tree(domains: Sequence[Domain]) -> list[tuple[int, Domain]]:
    """The domains, each with its depth, those whose network another one is behind that one."""
    children: defaultdict[DomainKey, list[Domain]] = defaultdict(list)
    present = {domain.key for domain in domains}
    top: list[Domain] = []
    for domain in domains:
        provider = DomainKey(domain.key.connection, domain.config.via)
        (children[provider] if provider in present else top).append(domain)
    ordered: dict[DomainKey, tuple[int, Domain]] = {}
    # Who is in a loop is in no tree, and comes last.
    for first in (*top, *domains):
        waiting = [(0, first)]
        while waiting:
            depth, domain = waiting.pop()
            if domain.key not in ordered:
                ordered[domain.key] = depth, domain
                waiting += [(depth + 1, child) for child in reversed(children[domain.key])]
    return list(ordered.values())
