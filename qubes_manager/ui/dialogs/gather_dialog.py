"""Gathering files of this machine, and folders, before something is done with them."""

from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QWidget,
)

from qubes_manager.core.errors import BadInput
from qubes_manager.core.text import one_cell
from qubes_manager.ui.dialogs.form_dialog import FormDialog


class GatherDialog(FormDialog):
    """A list that files, and folders if those are meant too, are put on and taken out of; ``paths`` is what is on it.

    Whoever derives from it adds his fields, and ``finish`` with *files* as the first one.
    """

    def __init__(self, parent: QWidget, title: str, ok: str, *, folders: bool = True) -> None:
        super().__init__(parent, title, ok)
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.files = QPushButton("Add &files…")
        self.folder = QPushButton("Add a f&older…")
        self.less = QPushButton("&Take out")
        self.folder.setVisible(folders)
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.files, self.folder, self.less):
            button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch(1)
        self.add_field("Files and folders" if folders else "Files", self.list, self._check)
        self.form.addRow("", buttons)
        self.files.clicked.connect(lambda: self._choose("Add files", QFileDialog.FileMode.ExistingFiles))
        self.folder.clicked.connect(lambda: self._choose("Add a folder", QFileDialog.FileMode.Directory))
        self.less.clicked.connect(self._take_out)

    @property
    def paths(self) -> list[str]:
        """What is on the list, in its order."""
        return [self.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.list.count())]

    def add(self, paths: Iterable[str]) -> None:
        """Put files and folders onto the list, each once."""
        present = set(self.paths)
        for path in paths:
            if path not in present:
                item = QListWidgetItem(one_cell(path), self.list)
                item.setData(Qt.ItemDataRole.UserRole, path)
        self.validate()

    def _choose(self, title: str, mode: QFileDialog.FileMode) -> None:
        dialog = QFileDialog(self, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(mode)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly, mode is QFileDialog.FileMode.Directory)
        dialog.setLabelText(QFileDialog.DialogLabel.Accept, "Add")
        dialog.filesSelected.connect(self.add)
        dialog.open()

    def _take_out(self) -> None:
        for item in self.list.selectedItems():
            self.list.takeItem(self.list.row(item))
        self.validate()

    def _check(self) -> None:
        if not self.list.count():
            raise BadInput("files", "", "add what is meant")
