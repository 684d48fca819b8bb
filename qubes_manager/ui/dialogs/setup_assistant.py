"""The way from an empty machine to the first domains, in four steps that can each be skipped."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
    QWizard,
    QWizardPage,
)

from qubes_manager.core.background import Background
from qubes_manager.core.creation_request import DEFAULT_MEMORY, parse_checksum
from qubes_manager.core.errors import BadInput, QubesManagerError
from qubes_manager.core.names import check_name
from qubes_manager.services.setup.first_setup import DISPOSABLE_TEMPLATE, FIRST_DOMAINS, SetupPlan
from qubes_manager.services.setup.host_check import Finding, Verdict
from qubes_manager.ui.dialogs.form_dialog import label_box
from qubes_manager.ui.dialogs.image_field import ChecksumField, ImageField
from qubes_manager.ui.dialogs.template_dialog import RecipeFields
from qubes_manager.ui.look.fields import ComboBox, SpinBox
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import PlainLabel

_VERDICT_ICONS = {Verdict.GOOD: "info", Verdict.POOR: "warning", Verdict.BAD: "error"}
Check = Callable[[], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the template comes from: the words of its choice, and the fields that belong to it."""

    button: QRadioButton
    fields: QWidget


class HostPage(QWizardPage):
    """What this machine can do."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self.setTitle("This machine")
        self.setSubTitle("What it can do, and what would help. Nothing is changed here.")
        self._check = check
        self._body = QWidget()
        self._form = QGridLayout(self._body)
        self._form.setColumnStretch(1, 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(self._body)
        layout = QVBoxLayout(self)
        layout.addWidget(area)
        self._looking = Background()
        self.destroyed.connect(self._looking.cancel)

    def initializePage(self) -> None:
        """Look anew each time the page is shown."""
        self._looking.spawn(self._fill())

    async def _fill(self) -> None:
        findings = await self._check()
        while item := self._form.takeAt(0):
            if widget := item.widget():
                widget.deleteLater()
        for row, finding in enumerate(findings):
            picture = PlainLabel()
            picture.setPixmap(icon(_VERDICT_ICONS[finding.verdict]).pixmap(18, 18))
            picture.setAccessibleName(finding.verdict.value)
            text = PlainLabel()
            text.setWordWrap(True)
            advice = f"\n{finding.advice}" if finding.advice else ""
            text.setText(f"{finding.title}: {finding.found}{advice}")
            self._form.addWidget(picture, row, 0, Qt.AlignmentFlag.AlignTop)
            self._form.addWidget(text, row, 1)
        self._form.setRowStretch(len(findings), 1)


class TemplatePage(QWizardPage):
    """Where the system of the domains comes from."""

    def __init__(self, templates: Sequence[str]) -> None:
        super().__init__()
        self.setTitle("Template")
        self.setSubTitle(
            "The system that all domains start from. Programs are installed and updated in it, once for all."
        )
        self.recipe = RecipeFields()
        self.image = ImageField()
        self.checksum = ChecksumField(self.image)
        self.image_name = QLineEdit("imported")
        self.existing = ComboBox()
        for template in templates:
            self.existing.offer(template)
        self.problem = PlainLabel()
        self.problem.setWordWrap(True)
        build = _fields(("Release", self.recipe.suite), ("Packages", self.recipe.packages), ("Size", self.recipe.size))
        build.addRow("", self.recipe.notice)
        self.build = _source("Build it from Debian’s packages (some minutes)", build)
        self.load = _source(
            "Import a disk image",
            _fields(("Image", self.image), ("Checksum", self.checksum), ("Name", self.image_name)),
        )
        self.use = _source("Use one that is there", _fields(("Template", self.existing)))
        self.use.button.setEnabled(bool(templates))
        self.skip = QRadioButton("Skip this step: make no domains now")
        self._group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        for source in (self.build, self.load, self.use):
            layout.addWidget(source.button)
            layout.addWidget(source.fields)
            self._group.addButton(source.button)
            source.button.toggled.connect(source.fields.setVisible)
            source.fields.hide()
        layout.addWidget(self.skip)
        self._group.addButton(self.skip)
        layout.addWidget(self.problem)
        layout.addStretch(1)
        (self.use if templates else self.build).button.setChecked(True)
        self._group.buttonToggled.connect(lambda *_: self._changed())
        for line in (self.recipe.packages, self.image.path, self.checksum.text, self.image_name):
            line.textChanged.connect(self._changed)

    def _changed(self) -> None:
        self.completeChanged.emit()

    def isComplete(self) -> bool:
        """Whether what is chosen can be used; says what is wrong."""
        try:
            self._validate()
        except QubesManagerError as error:
            self.problem.setText(f"⚠ {error}")
            return False
        self.problem.clear()
        return True

    def _validate(self) -> None:
        if self.build.button.isChecked():
            self.recipe.recipe().check()
        elif self.load.button.isChecked():
            check_name(self.image_name.text())
            if not self.image.value:
                raise BadInput("image", "", "choose a disk image")
            if self.checksum.value:
                parse_checksum(self.checksum.value)


class DomainsPage(QWizardPage):
    """The first domains and their colours."""

    def __init__(self, taken: Sequence[str]) -> None:
        super().__init__()
        self.setTitle("Domains")
        self.setSubTitle("One for each of your activities. The colour tells how far you trust it: red the least.")
        self.rows: list[tuple[QCheckBox, QLineEdit, ComboBox]] = []
        grid = QGridLayout()
        for row, (name, label) in enumerate(FIRST_DOMAINS.items()):
            wanted, field, colour = QCheckBox(), QLineEdit(name), label_box(label)
            wanted.setAccessibleName(f"Make {name}")
            field.setAccessibleName(f"Name {row + 1}")
            colour.setAccessibleName(f"Label {row + 1}")
            wanted.setChecked(name not in taken)
            wanted.setEnabled(name not in taken)
            wanted.setToolTip("It is there already" if name in taken else "")
            field.textChanged.connect(lambda _text: self.completeChanged.emit())
            for column, widget in enumerate((wanted, field, colour)):
                grid.addWidget(widget, row, column)
            self.rows.append((wanted, field, colour))
        self.memory = SpinBox()
        self.memory.setRange(256, 1 << 20)
        self.memory.setValue(DEFAULT_MEMORY)
        self.memory.setSuffix(" MiB")
        self.memory.setAccessibleName("Memory of each")
        self.disposables = QCheckBox(f"Make {DISPOSABLE_TEMPLATE}, which disposables are made of")
        self.disposables.setChecked(True)
        self.start = QCheckBox("Start them when they are made")
        self.problem = PlainLabel()
        form = QFormLayout()
        form.addRow("Memory of each:", self.memory)
        form.addRow("", self.disposables)
        form.addRow("", self.start)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addStretch(1)

    def isComplete(self) -> bool:
        """Whether all names can be used; says what is wrong."""
        names = [field.text() for wanted, field, _label in self.rows if wanted.isChecked()]
        try:
            for name in names:
                check_name(name)
            if len(set(names)) < len(names):
                raise BadInput("name", names[-1], "two domains cannot have the same name")
        except QubesManagerError as error:
            self.problem.setText(f"⚠ {error}")
            return False
        self.problem.clear()
        return True

    def chosen(self) -> tuple[tuple[str, str], ...]:
        """Names and labels of the domains to make."""
        return tuple((field.text(), label.currentData()) for wanted, field, label in self.rows if wanted.isChecked())


class DonePage(QWizardPage):
    """What happens next."""

    def __init__(self) -> None:
        super().__init__()
        self.setTitle("Ready")
        self.setSubTitle("Nothing has been made so far.")
        text = PlainLabel(
            "Finish begins. It goes on while you do other things: a line at the top of the window shows where it is, "
            "and can stop it; then nothing is left behind. You can open this assistant again from the File menu."
        )
        text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addStretch(1)


class SetupAssistant(QWizard):
    """Collects what to make; ``plan`` gives it."""

    def __init__(self, parent: QWidget, check: Check, templates: Sequence[str], taken: Sequence[str]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Set-up assistant")
        self.setWizardStyle(QWizard.WizardStyle.ModernStyle)
        self.setOption(QWizard.WizardOption.NoBackButtonOnStartPage)
        self.resize(680, 540)
        self.host, self.template, self.domains = HostPage(check), TemplatePage(templates), DomainsPage(taken)
        for page in (self.host, self.template, self.domains, DonePage()):
            self.addPage(page)

    def plan(self) -> SetupPlan | None:
        """What the user wants made, or None for nothing."""
        page = self.template
        if page.skip.isChecked():
            return None
        plan = SetupPlan(None, domains=self.domains.chosen(), memory=self.domains.memory.value())
        plan = replace(plan, disposables=self.domains.disposables.isChecked())
        if page.build.button.isChecked():
            return replace(plan, recipe=page.recipe.recipe())
        if page.use.button.isChecked():
            return replace(plan, template=page.existing.currentData())
        image, checksum = Path(page.image.value), page.checksum.value
        return replace(plan, template=page.image_name.text(), image=image, checksum=checksum)


def _fields(*rows: tuple[str, QWidget]) -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(26, 0, 0, 6)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for name, widget in rows:
        widget.setAccessibleName(name)
        form.addRow(f"{name}:", widget)
    return form


def _source(text: str, form: QFormLayout) -> _Source:
    fields = QWidget()
    fields.setLayout(form)
    return _Source(QRadioButton(text), fields)
