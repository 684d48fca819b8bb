"""What crosses between domains now, with how far it is, and a button that stops it."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialogButtonBox,
    QHBoxLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.crossing.transfer_words import how_far
from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.feedback.transfer_watch import TransferWatch, Watched

_HEADS = ("What", "From", "To", "How far")
_WATCHED = Qt.ItemDataRole.UserRole
_EMPTY = "Nothing crosses now. Files that domains send each other, and those that you copy, are listed here."


class TransfersDialog(HintDialog):
    """Lists transfers while it is open."""

    def __init__(self, parent: QWidget, watch: TransferWatch, spawn: Spawn) -> None:
        super().__init__(parent, spawn)
        self._watch = watch
        self.setWindowTitle("What crosses now")
        self.resize(720, 320)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(_HEADS)
        self.tree.setRootIsDecorated(False)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setAccessibleName("Transfers")
        self.tree.itemSelectionChanged.connect(self._update_button)
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Give it up; nothing is left of it, and nothing is deleted")
        self.stop.setAutoDefault(False)
        self.stop.clicked.connect(self._stop)
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(self.stop)
        row.addStretch(1)
        row.addWidget(closing)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.hint)
        layout.addLayout(row)
        watch.changed.connect(self._show)
        self._show()
        for column, width in enumerate((240, 110, 110)):
            self.tree.setColumnWidth(column, width)

    def _show(self) -> None:
        wanted = [*self._watch.running, *self._watch.over]
        # Items stay as long as their transfer does, so that a choice is not lost five times a second.
        items = {_key(item.data(0, _WATCHED)): item for item in self._items()}
        for key in items.keys() - {_key(watched) for watched in wanted}:
            self.tree.takeTopLevelItem(self.tree.indexOfTopLevelItem(items[key]))
        for watched in wanted:
            item = items.get(_key(watched))
            if item is None:
                item = QTreeWidgetItem()
                self.tree.insertTopLevelItem(0, item)
            self._fill(item, watched)
        self.hint.setText("" if wanted else _EMPTY)
        self._update_button()

    def _items(self) -> list[QTreeWidgetItem]:
        found = (self.tree.topLevelItem(row) for row in range(self.tree.topLevelItemCount()))
        return [item for item in found if item]

    def _fill(self, item: QTreeWidgetItem, watched: Watched) -> None:
        status = watched[1]
        item.setData(0, _WATCHED, watched)
        end = f"{status.phase.value}: {status.message}" if status.message else status.phase.value
        for column, text in enumerate((status.sentence, status.source, status.target)):
            item.setText(column, one_cell(text))
        item.setText(3, one_cell(end if status.is_over else how_far(status)))
        item.setToolTip(3, plain_tip(item.text(3)))

    def _chosen(self) -> Watched | None:
        items = self.tree.selectedItems()
        watched: Watched | None = items[0].data(0, _WATCHED) if items else None
        return watched if watched and not watched[1].is_over else None

    def _update_button(self) -> None:
        self.stop.setEnabled(self._chosen() is not None)

    def _stop(self) -> None:
        if watched := self._chosen():
            self.start(self._watch.cancel(watched))


def _key(watched: Watched) -> tuple[str, int]:
    return watched[0].uri, watched[1].transfer
