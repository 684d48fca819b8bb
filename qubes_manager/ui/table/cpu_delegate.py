"""Draws the CPU column: the figure, and a small line of the last minute."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from qubes_manager.models.domain_table import DOMAIN_ROLE, Index
from qubes_manager.services.hosts.usage_poller import HISTORY

# Room for "100 %" beside the line.
_FIGURE_WIDTH = 46
_MARGIN = 4


class CpuDelegate(QStyledItemDelegate):
    """Paints history from DOMAIN_ROLE; the text stays the model's."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        history = index.data(DOMAIN_ROLE).usage.cpu_history
        if len(history) < 2:
            return
        area = QRectF(option.rect).adjusted(_MARGIN, _MARGIN, -_FIGURE_WIDTH - _MARGIN, -_MARGIN)
        if area.width() < 16:
            return
        step = area.width() / (HISTORY - 1)
        start = area.right() - step * (len(history) - 1)
        line = QPolygonF(
            [QPointF(start + step * i, area.bottom() - area.height() * value / 100) for i, value in enumerate(history)]
        )
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Highlight
        colour = option.palette.color(role)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill = QPolygonF(line)
        fill.append(QPointF(area.right(), area.bottom()))
        fill.append(QPointF(start, area.bottom()))
        faint = QColor(colour)
        faint.setAlpha(50)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(faint)
        painter.drawPolygon(fill)
        painter.setPen(QPen(colour, 1.3))
        painter.drawPolyline(line)
        painter.restore()
