"""The settings of one domain."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QWidget

from qubes_manager.core.disposables import MOST_PRELOADED, PRELOAD_MAX, parse_count
from qubes_manager.core.domain import NO_DISPOSABLES, Domain, DomainClass
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.names import check_name, check_title
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.sound import HEARD, SILENT, can_be_heard, is_heard
from qubes_manager.core.text import plain_tip
from qubes_manager.core.values import MAX_MEMORY_MIB, MAX_VCPUS, check_word
from qubes_manager.services.domains.properties import MAX_NOTES, Properties
from qubes_manager.services.network.choices import Choice
from qubes_manager.ui.dialogs.form_dialog import FormDialog, label_box, number_box, policy_button
from qubes_manager.ui.look.fields import ComboBox

# Characters; more than a list of tags has.
_LONG = 1 << 24
FULLSCREEN = "allow_fullscreen"
_LATER = "Takes effect when the domain is started next"
_AT_ONCE_OR_LATER = "Takes effect at once between “isolated” and other domains’, else when the domain is started next"
Change = Callable[[], Awaitable[None]]
Act = Callable[[Properties, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a field says, what it said when it was shown, and how a new value is set."""

    value: Callable[[], Any]
    shown: Any
    set: Act

    @property
    def is_changed(self) -> bool:
        return bool(self.value() != self.shown)

    def change(self, properties: Properties) -> Change:
        value = self.value()
        return lambda: self.set(properties, value)


class SettingsDialog(FormDialog):
    """Shows what *domain*'s next start uses; ``changes`` gives what the user changed of it, as calls to make.

    What the user left alone is neither judged nor written, whatever others have put there. *most_vcpus* is what the
    domain's machine takes, *default_dispvm* what disposables are made of where a domain says nothing.
    """

    def __init__(
        self,
        parent: QWidget,
        domain: Domain,
        others: Sequence[Domain] = (),
        networks: Sequence[Choice] = (),
        options: GuiOptions | None = None,
        most_vcpus: int = MAX_VCPUS,
        default_dispvm: str = "",
    ) -> None:
        super().__init__(parent, f"Settings of {domain.name}", "Save")
        self._domain = domain
        self._config = config = domain.config
        self._make_names(domain)
        templates = sorted(d.name for d in others if d.klass is DomainClass.TEMPLATE)
        self.template = _choice(config.template, [(name, name) for name in templates])
        self.network = _choice(config.netvm, networks)
        self.provides = _check("Others may have its network", config.provides_network)
        self.provides.setToolTip("A domain for a VPN or Tor: what others send goes through it, and by no other way")
        self.all_interfaces = _check(f"Take all {len(config.upstream)} away", False)
        self.memory = number_box(1, MAX_MEMORY_MIB, config.initial_memory_kib // 1024, " MiB")
        self.maximum = number_box(1, MAX_MEMORY_MIB, config.maximum_memory_kib // 1024, " MiB")
        self.vcpus = number_box(1, most_vcpus, config.vcpus, "")
        self._make_disposables(others, default_dispvm)
        self.backups = _check("Backups take it", config.include_in_backups)
        self.fullscreen = _fullscreen_box(options or GuiOptions(), domain.key.uuid)
        self.sound = _check("Heard on this machine", is_heard(domain))
        self.sound.setToolTip(
            "It plays to your sound server; it never hears anything itself. To mute it is another action"
        )
        self.autostart = _check("Start it with the host", domain.autostart)
        self.autostart.setEnabled(OPERATIONS["autostart"].applies(domain))
        self._settings = {name: _Setting(value, value(), act) for name, (value, act) in self._all_settings().items()}
        self._shown_fullscreen = self.fullscreen.currentData()
        self._add_fields()
        for field in (self.memory, self.maximum, self.vcpus, self.network, self.template):
            field.setEnabled(domain.persistent)
            field.setToolTip(plain_tip(_LATER))
        self.provides.setEnabled(domain.persistent)
        self.network.setToolTip(plain_tip(_AT_ONCE_OR_LATER))
        self._judge_changes()
        self.policy = policy_button()
        self.finish(self.name if self.name.isEnabled() else self.label, self.policy)
        self._show_all_interfaces()

    def _make_names(self, domain: Domain) -> None:
        """What it is called, marked by and described with."""
        self.name = QLineEdit(domain.name)
        self.name.setEnabled(OPERATIONS["rename"].applies(domain) and not domain.is_disposable)
        self.name.setToolTip("" if self.name.isEnabled() else "A domain is renamed while it is halted")
        self.title = QLineEdit(domain.title)
        self.title.setPlaceholderText("what it is shown as, with its name behind")
        self.title.setToolTip("Its name stays: libvirt renames no domain that runs, and a disposable always does")
        self.label = label_box(domain.label.name if domain.label else "", may_be_none=domain.label is None)
        self.tags = QLineEdit()
        # Qt would cut a long line off.
        self.tags.setMaxLength(_LONG)
        self.tags.setText(" ".join(sorted(domain.config.tags)))
        self.tags.setPlaceholderText("words, separated by spaces")
        self.notes = QPlainTextEdit(domain.config.notes)
        self.notes.setTabChangesFocus(True)

    def _make_disposables(self, others: Sequence[Domain], default: str) -> None:
        """What disposables it gets, and those that are made of it."""
        unset = [(f"default ({default or 'not set'})", ""), (NO_DISPOSABLES, NO_DISPOSABLES)]
        self.dispvm = _choice(self._config.default_dispvm, [*unset, *_disposable_templates(others)])
        self.dispvm.setToolTip("What disposables that it asks for are made of; none: it may ask for none")
        self.disposables = _check("Disposables may be made of it", self._config.template_for_dispvms)
        ready = parse_count(dict(self._config.features).get(PRELOAD_MAX, "")) or 0
        self.ready = number_box(0, MOST_PRELOADED, ready, " kept ready")
        self.ready.setToolTip("Disposables that have booted and wait, so that the next one comes at once")

    def _judge_changes(self) -> None:
        """Look at what was entered whenever it changes."""
        for signal in (
            self.name.textChanged,
            self.title.textChanged,
            self.tags.textChanged,
            self.memory.valueChanged,
            self.maximum.valueChanged,
        ):
            signal.connect(self.validate)
        self.notes.textChanged.connect(self.validate)
        self.network.currentIndexChanged.connect(self._show_all_interfaces)
        self.all_interfaces.toggled.connect(self.validate)

    def _all_settings(self) -> dict[str, tuple[Callable[[], Any], Act]]:
        """How each is read and set, in the order in which they are set; the name comes last."""
        key, tags = self._domain.key, self._words()
        return {
            "title": (self.title.text, lambda p, v: p.set_title(key, v)),
            "label": (self.label.currentData, lambda p, v: p.set_label(key, v)),
            "template": (self.template.currentData, lambda p, v: p.set_template(key, v)),
            "network": (
                self.network.currentData,
                lambda p, v: p.set_netvm(key, v, all_interfaces=self.all_interfaces.isChecked()),
            ),
            "provides": (self.provides.isChecked, lambda p, v: p.set_provides_network(key, v)),
            "memory": (self.memory.value, lambda p, v: p.set_memory(key, v)),
            "maximum": (self.maximum.value, lambda p, v: p.set_maximum_memory(key, v)),
            "vcpus": (self.vcpus.value, lambda p, v: p.set_vcpus(key, v)),
            "dispvm": (self.dispvm.currentData, lambda p, v: p.set_default_dispvm(key, v)),
            "disposables": (self.disposables.isChecked, lambda p, v: p.set_template_for_dispvms(key, v)),
            "ready": (self.ready.value, lambda p, v: p.set_feature(key, PRELOAD_MAX, str(v) if v else None)),
            "backups": (self.backups.isChecked, lambda p, v: p.set_include_in_backups(key, v)),
            "sound": (self.sound.isChecked, lambda p, v: p.set_audiovm(key, HEARD if v else SILENT)),
            "autostart": (self.autostart.isChecked, lambda p, v: p.set_autostart(key, v)),
            "tags": (self._words, lambda p, v: p.change_tags(key, v - tags, tags - v)),
            "notes": (self._text, lambda p, v: p.set_notes(key, v)),
            "name": (self.name.text, lambda p, v: p.rename(key, v)),
        }

    def _words(self) -> frozenset[str]:
        return frozenset(self.tags.text().split())

    def _text(self) -> str:
        # toPlainText would make other spaces and ends of lines of those that were put in.
        return self.notes.document().toRawText().replace("\u2029", "\n")

    def _add_fields(self) -> None:
        is_app = self._config.klass is DomainClass.APP
        self.add_field("Name", self.name, self._check_name)
        self.add_field("Title", self.title, self._check_title)
        self.show_field(self.title, self._domain.is_disposable)
        self.add_field("Label", self.label)
        self.add_field("Template", self.template)
        self.show_field(self.template, is_app)
        self.add_field("Network", self.network)
        self.add_field("Interfaces", self.all_interfaces, self._check_interfaces)
        self.add_field("For others", self.provides)
        self.add_field("Memory", self.memory)
        self.add_field("Most memory", self.maximum, self._check_memory)
        self.add_field("Processors", self.vcpus)
        self.add_field("Default disposable", self.dispvm)
        self.add_field("Disposables", self.disposables)
        self.show_field(self.disposables, is_app)
        self.add_field("Disposables ready", self.ready)
        self.show_field(self.ready, is_app and self.disposables.isChecked())
        self.disposables.toggled.connect(lambda on: self.show_field(self.ready, on))
        self.add_field("Backups", self.backups)
        self.add_field("Sound", self.sound)
        self.show_field(self.sound, can_be_heard(self._domain.key.connection))
        self.add_field("Autostart", self.autostart)
        self.add_field("Full screen", self.fullscreen)
        self.add_field("Tags", self.tags, self._check_tags)
        self.add_field("Notes", self.notes, self._check_notes)

    def _check_name(self) -> None:
        if self._settings["name"].is_changed:
            check_name(self.name.text())

    def _check_title(self) -> None:
        if self._settings["title"].is_changed:
            check_title(self.title.text())

    @property
    def _loses_interfaces(self) -> bool:
        return len(self._config.upstream) > 1 and not self.network.currentData()

    def _show_all_interfaces(self) -> None:
        self.show_field(self.all_interfaces, self._loses_interfaces)
        self.validate()

    def _check_interfaces(self) -> None:
        if self._loses_interfaces and not self.all_interfaces.isChecked():
            raise Refused("without a network it has none of its interfaces any more: say so here if you mean that")

    def _check_tags(self) -> None:
        for word in self._words() - self._settings["tags"].shown:
            check_word(word, "tag")

    def _check_memory(self) -> None:
        changed = self._settings["memory"].is_changed or self._settings["maximum"].is_changed
        if changed and self.maximum.value() < self.memory.value():
            raise BadInput("most memory", f"{self.maximum.value()} MiB", "give the memory or more")

    def _check_notes(self) -> None:
        # Qt counts the end of the text too.
        length = self.notes.document().characterCount() - 1
        if length > MAX_NOTES and self._settings["notes"].is_changed:
            raise BadInput("notes", f"{length} characters", f"use at most {MAX_NOTES}")

    @property
    def changes_fullscreen(self) -> bool:
        """Whether the user changed what its windows may do, which is no property of the domain."""
        return bool(self.fullscreen.currentData() != self._shown_fullscreen)

    def changes(self, properties: Properties) -> list[Change]:
        """What the user changed, as calls to make one after the other; they refuse what others have changed since."""
        settings = dict(self._settings)
        if self.maximum.value() >= settings["memory"].shown:
            # In this order neither takes the other along.
            settings = {"maximum": settings["maximum"], **settings}
        since = properties.since(self._domain)
        return [setting.change(since) for setting in settings.values() if setting.is_changed]


def _fullscreen_box(options: GuiOptions, uuid: str) -> ComboBox:
    """Whether the domain's windows may cover the whole screen; its value is None where all domains' option holds."""
    box = ComboBox()
    for text, value in (
        (f"as for all domains ({'allowed' if options.value(FULLSCREEN) else 'refused'})", None),
        ("allowed", True),
        ("refused", False),
    ):
        box.addItem(text, value)
    own = options.domains.get(uuid, {}).get(FULLSCREEN)
    box.setCurrentIndex((None, True, False).index(own))
    return box


def _disposable_templates(others: Sequence[Domain]) -> list[Choice]:
    return sorted((d.name, d.name) for d in others if d.config.template_for_dispvms)


def _choice(present: str, choices: Sequence[Choice]) -> ComboBox:
    """A choice of (words, value); what is set now is among them whatever else there is."""
    box = ComboBox()
    if present not in [value for _text, value in choices]:
        box.offer(present or "none", present)
    for text, value in choices:
        box.offer(text, value)
    box.setCurrentIndex(box.findData(present))
    return box


def _check(text: str, checked: bool) -> QCheckBox:
    box = QCheckBox(text)
    box.setChecked(checked)
    return box
