"""A drawing of who may reach whom: domains in a circle in their colours, arrows between them."""

import math
from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from qubes_manager.core.labels import LABELS
from qubes_manager.core.policy.reach import Reach
from qubes_manager.core.policy.subject import System
from qubes_manager.core.text import one_line

# More names than these cannot be told apart.
_MOST = 60
_ALLOWED, _ASKED = QColor("#cc0000"), QColor("#f57900")
_BOX, _HEAD, _MARGIN = QSize(128, 24), 9.0, 12


class ReachGraph(QWidget):
    """Draws one arrow for each pair, in the colour of the most that is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(220)
        self.setAccessibleName("Drawing of who may reach whom")
        # For each pair whether the user is asked, and each name's colour.
        self.arrows: dict[tuple[str, str], bool] = {}
        self._colours: dict[str, QColor] = {}
        self._places: dict[str, QPointF] = {}

    def show_reaches(self, found: Iterable[Reach], system: System) -> None:
        """Draw *found*, the first of them when they are many."""
        self.arrows, names = {}, dict[str, None]()
        for reach in found:
            pair = (reach.source, reach.target)
            if len(names.keys() | set(pair)) > _MOST:
                continue
            names.update(dict.fromkeys(pair))
            self.arrows[pair] = self.arrows.get(pair, True) and reach.is_asked
        self._colours = {name: _colour(name, system) for name in names}
        words = ", ".join(f"{source} to {target}" for source, target in self.arrows)
        self.setAccessibleDescription(one_line(words, 2000))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw anew, as large as there is room."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._places = self._circle()
        for (source, target), is_asked in self.arrows.items():
            self._draw_arrow(painter, self._places[source], self._places[target], _ASKED if is_asked else _ALLOWED)
        for name, place in self._places.items():
            self._draw_box(painter, name, place)
        painter.end()

    def _circle(self) -> dict[str, QPointF]:
        wide = max(self.width() - _BOX.width() - 2 * _MARGIN, 0) / 2
        high = max(self.height() - _BOX.height() - 2 * _MARGIN, 0) / 2
        middle = QPointF(self.width() / 2, self.height() / 2)
        step = 2 * math.pi / max(len(self._colours), 1)
        return {
            name: middle + QPointF(wide * math.cos(number * step), high * math.sin(number * step))
            for number, name in enumerate(self._colours)
        }

    def _draw_arrow(self, painter: QPainter, start: QPointF, end: QPointF, colour: QColor) -> None:
        along = end - start
        length = math.hypot(along.x(), along.y())
        if not length:
            return
        along /= length
        # To the edge of the box.
        reach = min(
            _BOX.width() / 2 / abs(along.x()) if along.x() else length,
            _BOX.height() / 2 / abs(along.y()) if along.y() else length,
        )
        tip = end - along * min(reach, length)
        side = QPointF(-along.y(), along.x()) * _HEAD / 2
        painter.setPen(QPen(colour, 1.5))
        painter.drawLine(start, tip)
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([tip, tip - along * _HEAD + side, tip - along * _HEAD - side]))

    def _draw_box(self, painter: QPainter, name: str, place: QPointF) -> None:
        box = QRectF(0, 0, _BOX.width(), _BOX.height())
        box.moveCenter(place)
        pen = QPen(self._colours[name], 2.5)
        if name.startswith("@"):
            pen.setStyle(Qt.PenStyle.DotLine)
        painter.setPen(pen)
        painter.setBrush(self.palette().base())
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(self.palette().text().color())
        words = painter.fontMetrics().elidedText(one_line(name), Qt.TextElideMode.ElideMiddle, _BOX.width() - 8)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)


def _colour(name: str, system: System) -> QColor:
    subject = system.get(name)
    label = LABELS.get(subject.label) if subject else None
    return QColor(label.colour) if label else QColor(Qt.GlobalColor.gray)
