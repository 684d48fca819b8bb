"""Tables and choices of this dialog."""

from collections.abc import Iterable, Sequence

from PySide6.QtWidgets import QTreeWidget, QTreeWidgetItem

from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.ui.look.fields import ComboBox

# Rows of a table; more than these nobody reads, and they take long to make.
MOST = 2000


def new_table(name: str, heads: Sequence[str]) -> QTreeWidget:
    """An empty table that people know by *name*."""
    table = QTreeWidget()
    table.setHeaderLabels(heads)
    table.setRootIsDecorated(False)
    table.setUniformRowHeights(True)
    table.setAccessibleName(name)
    return table


def fill(table: QTreeWidget, rows: Iterable[tuple[Sequence[str], str]]) -> None:
    """Let *table* have *rows*, each with a tip."""
    items = []
    for cells, tip in rows:
        item = QTreeWidgetItem([one_cell(cell) for cell in cells])
        item.setToolTip(0, plain_tip(tip))
        items.append(item)
    table.clear()
    table.addTopLevelItems(items)
    for column in range(table.columnCount() - 1):
        table.resizeColumnToContents(column)


def new_choice(name: str, *, editable: bool = False) -> ComboBox:
    """An empty choice that people know by *name*; with *editable* they may write something else."""
    choice = ComboBox()
    choice.setAccessibleName(name)
    choice.setMinimumContentsLength(16)
    choice.setEditable(editable)
    choice.setInsertPolicy(ComboBox.InsertPolicy.NoInsert)
    return choice


def offer(choice: ComboBox, values: Iterable[tuple[str, str]]) -> None:
    """Let *choice* have these words and values; what was chosen stays chosen."""
    before, text = choice.currentData(), choice.currentText()
    choice.blockSignals(True)
    choice.clear()
    for words, value in values:
        choice.offer(words, value)
    choice.setCurrentIndex(max(choice.findData(before), 0))
    if choice.isEditable() and text and choice.findText(text) < 0:
        choice.setEditText(text)
    choice.blockSignals(False)


def chosen(choice: ComboBox) -> str:
    """The value that is chosen, or was written."""
    index = choice.findText(choice.currentText())
    return str(choice.itemData(index)) if index >= 0 else choice.currentText().strip()
