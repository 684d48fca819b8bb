"""How a row of the devices is drawn: sections in bold, what is new with a badge, what is free in a faint colour."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from qubes_manager.models.devices_model import NEW_ROLE, DevicesModel, is_free

Index = QModelIndex | QPersistentModelIndex
_BADGE = "NEW"
_PAD, _GAP = 5, 8
_ROW_PADDING = 10
_BADGE_COLOUR, _BADGE_TEXT = "#2a7d4f", "#ffffff"


class DeviceDelegate(QStyledItemDelegate):
    """Draws a row."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        model = index.model()
        if isinstance(model, DevicesModel) and model.entry(index) is None:
            option.font.setBold(True)
        if is_free(index):
            faint = option.palette.color(QPalette.ColorRole.PlaceholderText)
            option.palette.setColor(QPalette.ColorRole.Text, faint)
        option.textElideMode = Qt.TextElideMode.ElideRight

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        if not index.data(NEW_ROLE):
            super().paint(painter, option, index)
            return
        badge = self._badge(option)
        drawn = QStyleOptionViewItem(option)
        self.initStyleOption(drawn, index)
        style = drawn.widget.style() if drawn.widget else QApplication.style()
        text = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, drawn, drawn.widget)
        # The name gives way to the badge where there is no room for both.
        room = text.width() - badge.width() - 2 * _GAP
        name = drawn.fontMetrics.elidedText(drawn.text, Qt.TextElideMode.ElideRight, room)
        drawn.text = name
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, drawn, painter, drawn.widget)
        left = text.left() + drawn.fontMetrics.horizontalAdvance(name) + _GAP + _PAD
        place = QRect(left, option.rect.center().y() - badge.height() // 2, badge.width(), badge.height())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(_BADGE_COLOUR))
        painter.drawRoundedRect(place, 4, 4)
        painter.setPen(QColor(_BADGE_TEXT))
        font = painter.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 0.8)
        painter.setFont(font)
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, _BADGE)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        size = super().sizeHint(option, index)
        more = self._badge(option).width() + 2 * _GAP if index.data(NEW_ROLE) else 0
        return QSize(size.width() + more, option.fontMetrics.height() + _ROW_PADDING)

    def _badge(self, option: QStyleOptionViewItem) -> QRect:
        metrics = option.fontMetrics
        return QRect(0, 0, metrics.horizontalAdvance(_BADGE) + 2 * _PAD, metrics.height() + 1)
