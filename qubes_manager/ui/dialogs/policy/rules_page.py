"""The rules in words, in the order in which they hold."""

from dataclasses import astuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLineEdit, QTreeWidgetItem, QVBoxLayout, QWidget

from qubes_manager.core.policy.evaluation import Policy
from qubes_manager.core.policy.words import rule_words
from qubes_manager.ui.dialogs.policy.cells import MOST, fill, new_table
from qubes_manager.ui.look.plain import PlainLabel

_HEADS = ("Rule", "Who asks", "For what", "Of whom", "What becomes of it")
_PLACE = Qt.ItemDataRole.UserRole


class RulesPage(QWidget):
    """A table of rules; ``opened`` tells file and line of the one that was double-clicked."""

    opened = Signal(str, int)

    def __init__(self) -> None:
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search in the rules")
        self.search.setAccessibleName("Search in the rules")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.table = new_table("Rules", _HEADS)
        self.table.itemActivated.connect(lambda item: self.opened.emit(*item.data(0, _PLACE)))
        self.more = PlainLabel()
        layout = QVBoxLayout(self)
        layout.addWidget(self.search)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.more)

    def show_policy(self, policy: Policy) -> None:
        """Show the rules of *policy*; the first that matches a call decides it."""
        rules = policy.rules[:MOST]
        fill(self.table, (((rule.place, *astuple(rule_words(rule))), rule.text) for rule in rules))
        for row, rule in enumerate(rules):
            self._item(row).setData(0, _PLACE, (rule.file, rule.line))
        rest = len(policy.rules) - len(rules)
        first = "The first rule that matches a call decides it; what no rule matches is denied."
        self.more.setText(f"{rest:,} more rules are not shown." if rest else first)
        self._filter(self.search.text())

    def _item(self, row: int) -> QTreeWidgetItem:
        item = self.table.topLevelItem(row)
        assert item
        return item

    def _filter(self, wanted: str) -> None:
        wanted = wanted.casefold()
        for row in range(self.table.topLevelItemCount()):
            item = self._item(row)
            words = (item.text(column) for column in range(len(_HEADS)))
            item.setHidden(wanted not in f"{' '.join(words)} {item.data(0, _PLACE)}".casefold())
