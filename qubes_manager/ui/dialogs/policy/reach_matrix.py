"""Who may reach whom as a table of all pairs: readable where arrows would cover each other."""

from collections.abc import Iterable

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from qubes_manager.core.labels import LABELS
from qubes_manager.core.policy.reach import Reach
from qubes_manager.core.policy.subject import System
from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.ui.look.icons import label_icon

# What stands in a cell, so that nothing is told by colour alone, and its colour; black on them can be read.
ALLOWED, ASKED = "yes", "?"
_COLOURS = {ALLOWED: QColor("#ff8f8f"), ASKED: QColor("#ffc56b")}
_CELL, _TALLEST, _WIDEST = QSize(34, 24), 150, 180
# Rows, and columns; drawing more of them takes long, and nobody reads them.
_MOST = 200


class ReachMatrix(QTableWidget):
    """A row for each who asks, a column for each whom; a cell says what is the most that is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("All pairs: who may reach whom")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalHeader(_UprightHeader(self))
        self.verticalHeader().setDefaultSectionSize(_CELL.height())
        self.verticalHeader().setMaximumWidth(_WIDEST)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)

    def show_reaches(self, found: Iterable[Reach], system: System) -> None:
        """Show *found*; of very many domains the first ones."""
        pairs: dict[tuple[str, str], Reach] = {}
        for reach in found:
            before = pairs.get((reach.source, reach.target))
            if before is None or (before.is_asked and not reach.is_asked):
                pairs[reach.source, reach.target] = reach
        sources = list(dict.fromkeys(source for source, _target in pairs))[:_MOST]
        # In the same order, and then those that ask for nothing.
        found_targets = {target for _source, target in pairs}
        targets = [name for name in sources if name in found_targets]
        targets = [*targets, *sorted(found_targets.difference(sources))][:_MOST]
        self.clear()
        self.setRowCount(len(sources))
        self.setColumnCount(len(targets))
        for row, source in enumerate(sources):
            self.setVerticalHeaderItem(row, _heading(source, system))
        for column, target in enumerate(targets):
            self.setHorizontalHeaderItem(column, _heading(target, system))
        for row, source in enumerate(sources):
            for column, target in enumerate(targets):
                self.setItem(row, column, _cell(source, target, pairs.get((source, target))))


def _heading(name: str, system: System) -> QTableWidgetItem:
    item = QTableWidgetItem(one_cell(name))
    subject = system.get(name)
    if picture := label_icon(LABELS.get(subject.label) if subject else None):
        item.setIcon(picture)
    item.setToolTip(plain_tip(name))
    return item


def _cell(source: str, target: str, reach: Reach | None) -> QTableWidgetItem:
    item = QTableWidgetItem("" if reach is None else ASKED if reach.is_asked else ALLOWED)
    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
    outcome = "not allowed"
    if reach:
        item.setBackground(_COLOURS[item.text()])
        item.setForeground(QColor(Qt.GlobalColor.black))
        outcome = f"{'the user is asked' if reach.is_asked else 'allowed'}: {reach.call} ({reach.rule.place})"
        item.setToolTip(plain_tip(f"{source} to {target}: {outcome}\n{reach.rule.text}"))
    item.setData(Qt.ItemDataRole.AccessibleTextRole, one_cell(f"{source} to {target}: {outcome}"))
    return item


class _UprightHeader(QHeaderView):
    """Names that stand upright, so that many columns find room."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setDefaultSectionSize(_CELL.width())
        self.setMinimumSectionSize(_CELL.width())
        self.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)

    def sectionSizeFromContents(self, section: int) -> QSize:
        words = str(self.model().headerData(section, self.orientation()) or "")
        tall = self.fontMetrics().horizontalAdvance(words) + self._side() + 20
        return QSize(_CELL.width(), min(tall, _TALLEST))

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        words = str(self.model().headerData(section, self.orientation()) or "")
        picture = self.model().headerData(section, self.orientation(), Qt.ItemDataRole.DecorationRole)
        side = self._side()
        painter.save()
        painter.fillRect(rect, self.palette().button())
        if picture:
            picture.paint(painter, rect.center().x() - side // 2, rect.bottom() - side - 4, side, side)
        painter.translate(rect.center().x(), rect.bottom() - side - 8)
        painter.rotate(-90)
        room = rect.height() - side - 14
        painter.setPen(self.palette().buttonText().color())
        shown = self.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, room)
        half = self.fontMetrics().height() // 2 + 1
        painter.drawText(
            QRect(0, -half, room, 2 * half), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown
        )
        painter.restore()

    def _side(self) -> int:
        return 14
