"""The settings of one domain."""

from collections.abc import Awaitable, Callable

from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QSpinBox, QWidget

from qubes_manager.core.domain import Domain, DomainConfig
from qubes_manager.core.names import check_name
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.values import check_word
from qubes_manager.services.properties import MAX_NOTES, Properties
from qubes_manager.ui.form_dialog import FormDialog, label_box

_MAX_MEMORY_MIB = 1 << 22


class SettingsDialog(FormDialog):
    """Edits a copy; ``changes`` gives what differs, as calls to make."""

    def __init__(self, parent: QWidget, domain: Domain) -> None:
        super().__init__(parent, f"Settings of {domain.name}", "Save")
        self._domain = domain
        self._config = domain.config or DomainConfig()
        self.name = QLineEdit(domain.name)
        self.name.setEnabled(OPERATIONS["rename"].applies(domain))
        self.name.setToolTip("" if self.name.isEnabled() else "A domain is renamed while it is halted")
        self.label = label_box(domain.label.name if domain.label else "", may_be_none=domain.label is None)
        self.memory = _number(16, _MAX_MEMORY_MIB, self._config.memory // 1024, " MiB")
        self.vcpus = _number(1, 512, self._config.vcpus, "")
        self.autostart = QCheckBox("Start it with the host")
        self.autostart.setChecked(domain.autostart)
        self.autostart.setEnabled(domain.persistent)
        self.tags = QLineEdit(" ".join(sorted(self._config.tags)))
        self.tags.setPlaceholderText("words, separated by spaces")
        self.notes = QPlainTextEdit(self._config.notes)
        self.notes.setTabChangesFocus(True)
        self.add_field("Name", self.name, lambda: check_name(self.name.text()) if self.name.isEnabled() else None)
        self.add_field("Label", self.label)
        self.add_field("Memory", self.memory)
        self.add_field("Processors", self.vcpus)
        self.add_field("Autostart", self.autostart)
        self.add_field("Tags", self.tags, self._check_tags)
        self.add_field("Notes", self.notes)
        for field in (self.memory, self.vcpus):
            field.setEnabled(domain.persistent)
            field.setToolTip("Takes effect when the domain is started next")
        self.name.textChanged.connect(self.validate)
        self.tags.textChanged.connect(self.validate)
        self.finish(self.name if self.name.isEnabled() else self.label)
        self.validate()

    def _check_tags(self) -> None:
        for word in self.tags.text().split():
            check_word(word, "tag")

    def changes(self, properties: Properties) -> list[Callable[[], Awaitable[None]]]:
        """What the user changed, as calls to make one after the other; the name comes last."""
        key, config = self._domain.key, self._config
        tags = frozenset(self.tags.text().split())
        label, notes, name = self.label.currentData(), self.notes.toPlainText()[:MAX_NOTES], self.name.text()
        memory, vcpus, autostart = self.memory.value(), self.vcpus.value(), self.autostart.isChecked()
        wanted: list[tuple[bool, Callable[[], Awaitable[None]]]] = [
            (
                bool(label) and label != (config.label.name if config.label else ""),
                lambda: properties.set_label(key, label),
            ),
            (memory != config.memory // 1024, lambda: properties.set_memory(key, memory)),
            (vcpus != config.vcpus, lambda: properties.set_vcpus(key, vcpus)),
            (autostart != self._domain.autostart, lambda: properties.set_autostart(key, autostart)),
            (tags != config.tags, lambda: properties.set_tags(key, tags)),
            (notes != config.notes, lambda: properties.set_notes(key, notes)),
            (name != self._domain.name, lambda: properties.rename(key, name)),
        ]
        return [call for differs, call in wanted if differs]


def _number(low: int, high: int, value: int, suffix: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setGroupSeparatorShown(True)
    return box
