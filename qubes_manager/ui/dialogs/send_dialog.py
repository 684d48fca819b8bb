"""Choosing files and folders of this machine that a domain is to get."""

from PySide6.QtWidgets import QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.services.crossing.file_copies import Copy
from qubes_manager.ui.dialogs.clash_box import CLASH_NAME, clash_box
from qubes_manager.ui.dialogs.gather_dialog import GatherDialog


class SendDialog(GatherDialog):
    """Gathers what *domain* is to get; ``copy`` is what was chosen."""

    def __init__(self, parent: QWidget, domain: Domain) -> None:
        super().__init__(parent, f"Send files to {domain.shown_name}", "Send")
        self._domain = domain
        self.clash = clash_box()
        self.add_field(CLASH_NAME, self.clash)
        self.finish(self.files)
        self.validate()

    @property
    def copy(self) -> Copy:
        """What is to be copied."""
        key = self._domain.key
        return Copy(key.connection, None, key, self.paths, clash=self.clash.currentData())
