"""The settings of one domain."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPlainTextEdit, QWidget

from qubes_manager.core.domain import Domain, DomainClass
from qubes_manager.core.errors import BadInput
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.names import check_name
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.values import check_word
from qubes_manager.services.domains.properties import MAX_NOTES, Properties
from qubes_manager.services.hosts.networks import Choice
from qubes_manager.ui.dialogs.form_dialog import FormDialog, label_box, number_box

_MAX_MEMORY_MIB = 1 << 22
FULLSCREEN = "allow_fullscreen"
_LATER = "Takes effect when the domain is started next"
Change = Callable[[], Awaitable[None]]


class SettingsDialog(FormDialog):
    """Edits a copy; ``changes`` gives what differs, as calls to make."""

    def __init__(
        self,
        parent: QWidget,
        domain: Domain,
        others: Sequence[Domain] = (),
        networks: Sequence[Choice] = (),
        options: GuiOptions | None = None,
    ) -> None:
        super().__init__(parent, f"Settings of {domain.name}", "Save")
        self._domain = domain
        self._config = config = domain.config
        self.name = QLineEdit(domain.name)
        self.name.setEnabled(OPERATIONS["rename"].applies(domain))
        self.name.setToolTip("" if self.name.isEnabled() else "A domain is renamed while it is halted")
        self.label = label_box(domain.label.name if domain.label else "", may_be_none=domain.label is None)
        templates = sorted(d.name for d in others if d.klass is DomainClass.TEMPLATE)
        self.template = _choice(config.template, [(name, name) for name in templates])
        self.network = _choice(config.netvm, networks)
        self.memory = number_box(16, _MAX_MEMORY_MIB, config.initial_memory_kib // 1024, " MiB")
        self.maximum = number_box(16, _MAX_MEMORY_MIB, config.maximum_memory_kib // 1024, " MiB")
        self.vcpus = number_box(1, 512, config.vcpus, "")
        self.dispvm = _choice(config.default_dispvm, [("none", ""), *_disposable_templates(others)])
        self.disposables = _check("Disposables may be made of it", config.template_for_dispvms)
        self.backups = _check("Backups take it", config.include_in_backups)
        self.fullscreen = _fullscreen_box(options or GuiOptions(), domain.name)
        self.autostart = _check("Start it with the host", domain.autostart)
        self.autostart.setEnabled(domain.persistent)
        self.tags = QLineEdit(" ".join(sorted(config.tags)))
        self.tags.setPlaceholderText("words, separated by spaces")
        self.notes = QPlainTextEdit(config.notes)
        self.notes.setTabChangesFocus(True)
        self._add_fields()
        for field in (self.memory, self.maximum, self.vcpus, self.network, self.template):
            field.setEnabled(domain.persistent)
            field.setToolTip(_LATER)
        for line in (self.name.textChanged, self.tags.textChanged, self.memory.valueChanged, self.maximum.valueChanged):
            line.connect(self.validate)
        self.finish(self.name if self.name.isEnabled() else self.label)
        self.validate()

    def _add_fields(self) -> None:
        is_app = self._config.klass is DomainClass.APP
        self.add_field("Name", self.name, lambda: check_name(self.name.text()) if self.name.isEnabled() else None)
        self.add_field("Label", self.label)
        self.add_field("Template", self.template)
        self.show_field(self.template, is_app)
        self.add_field("Network", self.network)
        self.add_field("Memory", self.memory)
        self.add_field("Most memory", self.maximum, self._check_memory)
        self.add_field("Processors", self.vcpus)
        self.add_field("Default disposable", self.dispvm)
        self.add_field("Disposables", self.disposables)
        self.show_field(self.disposables, is_app)
        self.add_field("Backups", self.backups)
        self.add_field("Autostart", self.autostart)
        self.add_field("Full screen", self.fullscreen)
        self.add_field("Tags", self.tags, self._check_tags)
        self.add_field("Notes", self.notes)

    def _check_tags(self) -> None:
        for word in self.tags.text().split():
            check_word(word, "tag")

    def _check_memory(self) -> None:
        if self.maximum.value() < self.memory.value():
            raise BadInput("most memory", f"{self.maximum.value()} MiB", "give the memory or more")

    def changes(self, properties: Properties) -> list[Change]:
        """What the user changed, as calls to make one after the other; the name comes last."""
        key, config = self._domain.key, self._config
        initial = config.initial_memory_kib // 1024
        tags = frozenset(self.tags.text().split())
        label = self.label.currentData()
        wanted: list[tuple[Any, Any, Callable[[Any], Awaitable[None]]]] = [
            (label or None, config.label.name if config.label else None, lambda v: properties.set_label(key, v)),
            (self.template.currentData(), config.template, lambda v: properties.set_template(key, v)),
            (self.network.currentData(), config.netvm, lambda v: properties.set_netvm(key, v)),
            (self.memory.value(), initial, lambda v: properties.set_memory(key, v)),
            (self.maximum.value(), config.maximum_memory_kib // 1024, lambda v: properties.set_maximum_memory(key, v)),
            (self.vcpus.value(), config.vcpus, lambda v: properties.set_vcpus(key, v)),
            (self.dispvm.currentData(), config.default_dispvm, lambda v: properties.set_default_dispvm(key, v)),
            (
                self.disposables.isChecked(),
                config.template_for_dispvms,
                lambda v: properties.set_template_for_dispvms(key, v),
            ),
            (self.backups.isChecked(), config.include_in_backups, lambda v: properties.set_include_in_backups(key, v)),
            (self.autostart.isChecked(), self._domain.autostart, lambda v: properties.set_autostart(key, v)),
            (tags, config.tags, lambda v: properties.set_tags(key, v)),
            (self.notes.toPlainText()[:MAX_NOTES], config.notes, lambda v: properties.set_notes(key, v)),
            (self.name.text(), self._domain.name, lambda v: properties.rename(key, v)),
        ]
        return [_call(act, new) for new, old, act in wanted if new != old]


def _fullscreen_box(options: GuiOptions, domain: str) -> QComboBox:
    """Whether the domain's windows may cover the whole screen; its value is None where all domains' option holds."""
    box = QComboBox()
    for text, value in (
        (f"as for all domains ({'allowed' if options.value(FULLSCREEN) else 'refused'})", None),
        ("allowed", True),
        ("refused", False),
    ):
        box.addItem(text, value)
    own = options.domains.get(domain, {}).get(FULLSCREEN)
    box.setCurrentIndex((None, True, False).index(own))
    return box


def _call(act: Callable[[Any], Awaitable[None]], value: object) -> Change:
    return lambda: act(value)


def _disposable_templates(others: Sequence[Domain]) -> list[Choice]:
    return sorted((d.name, d.name) for d in others if d.config.template_for_dispvms)


def _choice(present: str, choices: Sequence[Choice]) -> QComboBox:
    """A choice of (words, value); what is set now is among them whatever else there is."""
    box = QComboBox()
    for text, value in choices:
        box.addItem(text, value)
    if box.findData(present) < 0:
        box.insertItem(0, present or "none", present)
    box.setCurrentIndex(box.findData(present))
    return box


def _check(text: str, checked: bool) -> QCheckBox:
    box = QCheckBox(text)
    box.setChecked(checked)
    return box
