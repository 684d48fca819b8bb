"""What all form dialogs share: fields with their problem beside them, and OK that waits for good input."""

from collections.abc import Callable

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.errors import BadInput, QubesManagerError
from qubes_manager.core.labels import LABELS
from qubes_manager.ui.look.fields import ComboBox, SpinBox
from qubes_manager.ui.look.icons import swatch
from qubes_manager.ui.look.plain import PlainLabel, window_title

Check = Callable[[], object]


class FormDialog(QDialog):
    """A form. Each field may have a check that raises BadInput; what it says stands below the field."""

    def __init__(self, parent: QWidget, title: str, ok: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(window_title(title))
        self.setMinimumWidth(480)
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._checks: list[tuple[Check, PlainLabel]] = []
        self.ok = QPushButton(ok)
        self._layout = QVBoxLayout(self)
        self._layout.addLayout(self.form)

    def finish(self, first: QWidget, *more: QPushButton) -> None:
        """Add the buttons below the fields, so that Tab reaches them last, and start in the field *first*.

        *more* stand apart from OK and Cancel, and do not close the dialog.
        """
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        for button in more:
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ResetRole)
            button.setAutoDefault(False)
        buttons.addButton(self.ok, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        # While OK waits for good input, Return must not press Cancel in its stead.
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)
        self.ok.setDefault(True)
        self._layout.addStretch(1)
        self._layout.addWidget(buttons)
        first.setFocus()

    def add_field(self, name: str, field: QWidget, check: Check | None = None) -> None:
        """Add a field under *name*, which a screen reader says too."""
        field.setAccessibleName(name)
        self.form.addRow(f"{name}:", field)
        if check is not None:
            problem = PlainLabel()
            problem.setWordWrap(True)
            problem.setForegroundRole(self.foregroundRole())
            problem.setObjectName("problem")
            problem.hide()
            self.form.addRow("", problem)
            self._checks.append((check, problem))

    def add_note(self, text: str) -> None:
        """Add a paragraph across the form."""
        note = PlainLabel(text)
        note.setWordWrap(True)
        self.form.addRow(note)

    def show_field(self, field: QWidget, shown: bool) -> None:
        """Show a field with its name, or hide them; a hidden field's problem goes at the next validation."""
        self.form.setRowVisible(field, shown)

    def validate(self) -> bool:
        """Run all checks, show what is wrong, and return whether nothing is.

        A field that is still empty need not be told so, though OK waits for it.
        """
        good = True
        for check, label in self._checks:
            try:
                check()
            except QubesManagerError as error:
                label.setText(f"⚠ {error}")
                label.setVisible(not (isinstance(error, BadInput) and error.found == ""))
                good = False
            else:
                label.hide()
        self.ok.setEnabled(good)
        return good


def policy_button() -> QPushButton:
    """A button that leads to what may cross between domains, which no form of a domain's own has."""
    button = QPushButton("&Policy…")
    button.setToolTip("What may cross between domains, and what did; for all domains")
    return button


def label_box(chosen: str = "", *, may_be_none: bool = False) -> ComboBox:
    """A choice of labels, each with its colour and its name."""
    box = ComboBox()
    if may_be_none:
        box.addItem("none", "")
    for label in LABELS.values():
        box.addItem(swatch(label.colour), label.name, label.name)
    box.setCurrentIndex(max(box.findData(chosen), 0))
    return box


def number_box(low: int, high: int, value: int, suffix: str) -> SpinBox:
    """A field for a whole number with its unit; a *value* beyond the bounds, which others gave, is shown as it is."""
    box = SpinBox()
    box.setRange(min(low, value), max(high, value))
    box.setValue(value)
    box.setSuffix(suffix)
    box.setGroupSeparatorShown(True)
    return box
