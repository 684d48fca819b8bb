"""Choosing the domain that gets what the inter-domain clipboard holds, for who does not like keys."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.text import one_cell
from qubes_manager.ui.dialogs.form_dialog import FormDialog
from qubes_manager.ui.look.icons import label_icon

_DOMAIN = Qt.ItemDataRole.UserRole


class PasteDialog(FormDialog):
    """Lists *targets*, found by typing; *held* says what is pasted. Nothing is chosen before the user has."""

    def __init__(self, parent: QWidget, held: str, targets: Sequence[Domain]) -> None:
        super().__init__(parent, "Paste to…", "Paste")
        self.add_note(f"On the inter-domain clipboard: {held}. It is wiped by the paste.")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.add_field("Domain", self.search)
        self.list = QListWidget()
        self.list.setAccessibleName("Domains that run")
        for domain in sorted(targets, key=lambda domain: domain.shown_name.casefold()):
            item = QListWidgetItem(one_cell(domain.shown_name))
            if picture := label_icon(domain.label):
                item.setIcon(picture)
            item.setData(_DOMAIN, domain)
            self.list.addItem(item)
        self.list.itemSelectionChanged.connect(self._selected)
        self.list.itemActivated.connect(lambda _item: self.accept())
        self.form.addRow(self.list)
        if not targets:
            self.add_note("No other domain runs that could get it.")
        self.ok.setEnabled(False)
        self.finish(self.search)

    @property
    def target(self) -> Domain | None:
        """The domain that was chosen."""
        items = self.list.selectedItems()
        return items[0].data(_DOMAIN) if items else None

    def _selected(self) -> None:
        self.ok.setEnabled(self.target is not None)

    def _filter(self, text: str) -> None:
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setHidden(text.casefold() not in item.text().casefold())
            if item.isHidden():
                item.setSelected(False)
