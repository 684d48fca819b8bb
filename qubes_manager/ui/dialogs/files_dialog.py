"""The files of a domain: found, chosen, and copied to this machine or to another domain."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.domain import Domain
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell
from qubes_manager.services.crossing.file_copies import Copy, FileCopies
from qubes_manager.ui.dialogs.clash_box import CLASH_NAME, clash_box
from qubes_manager.ui.dialogs.file_tree import FileTree
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.look.fields import ComboBox
from qubes_manager.ui.look.icons import icon, label_icon
from qubes_manager.ui.look.plain import window_title

_BASE = Qt.ItemDataRole.UserRole + 1


class FilesDialog(HintDialog):
    """Lists the files of *domain*; *targets* are the domains that may get them. ``copy`` is what was chosen.

    They may be viewed in a new disposable of one of *bases* instead: ``base`` is that one then.
    """

    def __init__(
        self,
        parent: QWidget,
        domain: Domain,
        targets: Sequence[Domain],
        bases: Sequence[Domain],
        copies: FileCopies,
        spawn: Spawn,
    ) -> None:
        super().__init__(parent, spawn)
        self._domain = domain
        self.setWindowTitle(window_title(f"Files of {domain.shown_name}"))
        self.resize(680, 520)
        self.tree = FileTree(domain.key, lambda path: copies.listing(domain.key, path))
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder")
        self.folder.setPlaceholderText("Folder, such as /etc; nothing is the home folder")
        self.search = QLineEdit()
        self.search.setAccessibleName("Search")
        self.search.setPlaceholderText("Search in what has been opened")
        self.search.setClearButtonEnabled(True)
        self.hidden = QCheckBox("Hidden files")
        top = QHBoxLayout()
        for field, stretch in ((self.folder, 3), (self.search, 2), (self.hidden, 0)):
            top.addWidget(field, stretch)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.hint)
        layout.addLayout(self._choices(targets, bases))
        layout.addWidget(self._buttons())
        self._connect()
        self.tree.setFocus()
        self.start(self._open(""))

    @property
    def copy(self) -> Copy:
        """What is to be copied, and where to."""
        target: Domain | None = self.target.currentData()
        key = target.key if target else None
        return Copy(
            self._domain.key.connection, self._domain.key, key, self.tree.chosen, clash=self.clash.currentData()
        )

    @property
    def base(self) -> Domain | None:
        """What a new disposable is to be made of, in which the files are viewed; None where they are to be copied."""
        base: Domain | None = self.target.currentData(_BASE)
        return base

    @property
    def target_name(self) -> str:
        """Who gets them."""
        target: Domain | None = self.target.currentData()
        return target.name if target else "dom0"

    def _choices(self, targets: Sequence[Domain], bases: Sequence[Domain]) -> QFormLayout:
        self.target = ComboBox()
        self.target.addItem(icon("host"), "this machine (dom0), never to be run")
        for domain in sorted(targets, key=lambda domain: domain.shown_name.casefold()):
            self.target.addItem(label_icon(domain.label) or icon("windows"), one_cell(domain.shown_name), domain)
        for base in sorted(bases, key=lambda base: base.name.casefold()):
            words = f"a new disposable of {one_cell(base.name)}, to be viewed"
            self.target.addItem(label_icon(base.label) or icon("windows"), words)
            self.target.setItemData(self.target.count() - 1, base, _BASE)
        self.target.setCurrentIndex(-1)
        self.target.setPlaceholderText("Choose who gets them")
        self.clash = clash_box()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, field in (("Copy to", self.target), (CLASH_NAME, self.clash)):
            field.setAccessibleName(name)
            form.addRow(f"{name}:", field)
        return form

    def _buttons(self) -> QDialogButtonBox:
        self.ok = QPushButton("Copy")
        self.ok.setEnabled(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton(self.ok, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        # Return in a field of this dialog goes to the folder, or does nothing.
        self.ok.setAutoDefault(False)
        return buttons

    def _connect(self) -> None:
        self.folder.returnPressed.connect(lambda: self.start(self._open(self.folder.text().strip())))
        self.search.textChanged.connect(self.tree.seek)
        self.hidden.toggled.connect(self.tree.show_hidden)
        self.tree.itemExpanded.connect(lambda item: self.start(self._open_item(item)))
        self.tree.itemSelectionChanged.connect(self._update)
        self.target.currentIndexChanged.connect(lambda _index: self._update())

    async def _open(self, path: str) -> None:
        self.hint.setText("Reading…")
        listing = await self.tree.open_folder(path)
        self.folder.setText(one_cell(listing.path))
        words = "This folder is empty." if not listing.entries else f"{format_size(listing.free)} are free there."
        self.hint.setText(f"The folder has too many files to show them all. {words}" if listing.is_cut else words)
        self._update()

    async def _open_item(self, item: QTreeWidgetItem) -> None:
        await self.tree.open_item(item)

    def _update(self) -> None:
        self.ok.setEnabled(bool(self.tree.chosen) and self.target.currentIndex() >= 0)
        self.ok.setText("View" if self.base else "Copy")
        self.clash.setEnabled(self.base is None)
