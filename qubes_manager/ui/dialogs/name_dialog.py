"""Small dialogs with one field or two."""

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit, QWidget

from qubes_manager.core.errors import Refused
from qubes_manager.core.names import check_name
from qubes_manager.core.sizes import format_size
from qubes_manager.ui.dialogs.form_dialog import FormDialog
from qubes_manager.ui.look.fields import SpinBox

_GIB = 1 << 30


class NameDialog(FormDialog):
    """Asks for the name of a new domain."""

    def __init__(self, parent: QWidget, title: str, ok: str, proposal: str, is_taken: Callable[[str], bool]) -> None:
        super().__init__(parent, title, ok)
        self._is_taken = is_taken
        self.name = QLineEdit(proposal)
        self.add_field("Name", self.name, self._check)
        self.name.textChanged.connect(self.validate)
        self.finish(self.name)
        self.name.selectAll()
        self.validate()

    def _check(self) -> None:
        check_name(self.name.text())
        if self._is_taken(self.name.text()):
            raise Refused("there is a domain of that name already; choose another")


class PassphraseDialog(FormDialog):
    """Asks for the passphrase of a domain's private volume."""

    def __init__(self, parent: QWidget, domain: str, problem: str) -> None:
        super().__init__(parent, f"Passphrase of {domain}", "Start")
        self.passphrase = QLineEdit()
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        self.add_note(problem)
        self.add_field("Passphrase", self.passphrase)
        self.finish(self.passphrase)


class SizeDialog(FormDialog):
    """Asks for a larger size, in GiB."""

    def __init__(self, parent: QWidget, what: str, present: int) -> None:
        super().__init__(parent, f"Enlarge {what}", "Enlarge")
        least = -(-present // _GIB)
        self.size_box = SpinBox()
        self.size_box.setRange(least, 1 << 14)
        self.size_box.setValue(least + 1)
        self.size_box.setSuffix(" GiB")
        self.add_note(
            f"It has {format_size(present)} now. A volume grows, also while its domain runs; it never shrinks."
        )
        self.add_field("New size", self.size_box)
        self.finish(self.size_box)

    @property
    def bytes(self) -> int:
        """The size that was chosen."""
        return self.size_box.value() * _GIB
