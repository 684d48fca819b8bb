"""Asks what a new disposable is made of, and whether it is to be found again."""

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.names import check_name
from qubes_manager.ui.dialogs.form_dialog import FormDialog
from qubes_manager.ui.look.fields import ComboBox


class DisposableDialog(FormDialog):
    """A choice of *templates*, and a name, which only one that stays must have."""

    def __init__(self, parent: QWidget, templates: Sequence[str], chosen: str, is_taken: Callable[[str], bool]) -> None:
        super().__init__(parent, "New disposable", "Make")
        self._is_taken = is_taken
        self.template = ComboBox()
        for name in templates:
            self.template.offer(name)
        self.template.setCurrentIndex(max(self.template.findData(chosen), 0))
        self.name = QLineEdit()
        self.name.setPlaceholderText("disp and a number")
        self.stays = QCheckBox("Keep it in the list when it stops")
        self.add_note("It starts from its template’s data, and forgets all that is written in it when it stops.")
        self.add_field("Made of", self.template)
        self.add_field("Name", self.name, self._check)
        self.add_field("Afterwards", self.stays)
        self.name.textChanged.connect(self.validate)
        self.stays.toggled.connect(self.validate)
        self.finish(self.template)
        self.validate()

    def _check(self) -> None:
        name = self.name.text()
        if not name:
            if self.stays.isChecked():
                raise BadInput("name", "", "one that stays in the list needs a name")
            return
        check_name(name)
        if self._is_taken(name):
            raise Refused("there is a domain of that name already; choose another")
