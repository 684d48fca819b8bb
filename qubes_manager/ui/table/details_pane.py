"""The chosen domain at a glance: what it is, and its hardware."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from qubes_manager.core.domain import Domain, DomainConfig
from qubes_manager.core.hardware import Disk
from qubes_manager.core.interfaces import USER, Interface
from qubes_manager.core.sizes import format_size
from qubes_manager.core.sound import sound_text
from qubes_manager.core.text import one_line
from qubes_manager.services.domains.tool_versions import tools_text
from qubes_manager.ui.look.icons import label_icon, state_icon
from qubes_manager.ui.look.plain import PlainField, PlainLabel, shown

Row = tuple[str, str]


def overview(domain: Domain, config: DomainConfig) -> list[Row]:
    """What it is."""
    label = domain.label.name if domain.label else "none"
    rows = [("State", domain.activity.value if domain.activity else domain.state_text), ("Label", label)]
    rows.append(("Class", domain.klass.value if domain.klass else ""))
    if config.template:
        update = " (has a newer system: restart to update)" if domain.outdated else ""
        rows.append(("Template", f"{config.template}{update}"))
    if config.revision:
        trial = f"; revision {config.trial} is being written" if config.trial else ""
        rows.append(("Revision", f"{config.revision}{trial}"))
    rows.append(("Connection", domain.key.connection))
    if not domain.is_host:
        rows += [("UUID", domain.key.uuid), ("Kept by libvirt", "yes" if domain.persistent else "no, transient")]
        rows.append(("Guest agent", {True: "answers", False: "silent", None: "not heard of"}[domain.agent]))
    if tools := tools_text(domain):
        how = "" if tools == "current" else ": “Update guest tools” brings what copying between domains needs"
        rows.append(("Guest tools", f"{tools}{how}"))
    if sound := sound_text(domain):
        rows.append(("Sound", sound))
    if domain.usage.addresses:
        rows.append(("Addresses", ", ".join(domain.usage.addresses)))
    if config.tags:
        rows.append(("Tags", ", ".join(sorted(config.tags))))
    if config.notes:
        rows.append(("Notes", one_line(config.notes, 400)))
    return rows


def hardware(domain: Domain, config: DomainConfig) -> list[Row]:
    """What it is made of."""
    rows = [("Memory", format_size(domain.memory_kib * 1024))] if domain.memory_kib else []
    if config.vcpus:
        rows.append(("Processors", str(config.vcpus)))
    if config.virt_type:
        slow = " (software emulation: slow)" if config.emulated else ""
        rows.append(("Virtualisation", f"{config.virt_type}{slow}"))
    if config.machine:
        rows.append(("Machine", config.machine))
    rows += [(f"Disk {disk.target}", _disk(disk)) for disk in config.disks]
    rows += [("Network", _network(config, interface)) for interface in config.interfaces]
    return rows + [(kind.capitalize(), ", ".join(what)) for kind, what in _grouped(config.others).items()]


def _network(config: DomainConfig, interface: Interface) -> str:
    kind = interface.kind
    if interface.is_downstream:
        kind = "for the domains whose network it is"
    elif kind == USER:
        is_apart = config.is_isolated and interface.is_plain_user
        own = f"that of {config.network}" if config.via else "isolated"
        kind = own if is_apart else "open: reaches this machine’s own services"
    return " ".join(filter(None, (kind, interface.source, interface.model, interface.mac)))


def _grouped(devices: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The devices of each kind, equal ones counted."""
    groups: dict[str, list[str]] = defaultdict(list)
    for (kind, what), count in Counter(devices).items():
        groups[kind].append(f"{what} × {count}" if count > 1 else what)
    return groups


def _disk(disk: Disk) -> str:
    notes = [disk.bus] + (["read-only"] if disk.read_only else []) + (["optical"] if disk.kind == "cdrom" else [])
    notes += ["thrown away at its end"] if disk.transient else []
    notes += ["encrypted"] if disk.encrypted else []
    return f"{disk.source or 'empty'} ({', '.join(filter(None, notes))})"


class DetailsPane(QScrollArea):
    """Shows one domain, or says what to do to see one."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Details of the chosen domain")
        self.setMinimumWidth(280)
        self._shown: tuple[str, list[Row], list[Row]] | None = None
        self.show_domains([])

    def show_domains(self, domains: list[Domain]) -> None:
        """Show the one chosen domain, or how many are chosen."""
        if len(domains) != 1:
            self._shown = None
            self._show_hint("Choose a domain to see its details." if not domains else f"{len(domains)} domains chosen.")
            return
        domain = domains[0]
        rows = (overview(domain, domain.config), hardware(domain, domain.config))
        # The name and the rows are all that is shown here.
        if (domain.shown_name, *rows) == self._shown:
            return
        self._shown = (domain.shown_name, *rows)
        place = self.verticalScrollBar().value()
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.addWidget(self._title(domain))
        for heading, pairs in zip(("Domain", "Hardware"), rows, strict=True):
            layout.addWidget(_heading(heading))
            layout.addLayout(_form(pairs))
        layout.addStretch(1)
        self.setWidget(body)
        self.verticalScrollBar().setValue(place)

    def _title(self, domain: Domain) -> QWidget:
        title = PlainLabel(domain.shown_name, wraps=True)
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.35)
        font.setBold(True)
        title.setFont(font)
        picture = PlainLabel()
        picture.setPixmap((label_icon(domain.label) or state_icon(domain)).pixmap(18, 18))
        line = QHBoxLayout()
        line.addWidget(picture)
        line.addWidget(title, 1)
        box = QWidget()
        box.setLayout(line)
        return box

    def _show_hint(self, text: str) -> None:
        hint = PlainLabel(text)
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        hint.setWordWrap(True)
        hint.setEnabled(False)
        self.setWidget(hint)


def _heading(text: str) -> PlainLabel:
    label = PlainLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setContentsMargins(0, 8, 0, 0)
    return label


def _form(pairs: Iterable[Row]) -> QFormLayout:
    form = QFormLayout()
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    for name, value in pairs:
        field = PlainField(value)
        field.setAccessibleName(shown(f"{name}: {value}"))
        form.addRow(PlainLabel(f"{name}:"), field)
    return form
