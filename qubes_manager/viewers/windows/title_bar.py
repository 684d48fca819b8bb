"""The title bar that we draw where the desktop draws none (GNOME on Wayland): title and buttons in the label's colour.

Sizes are in Qt's units, and so are places, which are within the window.
"""

from enum import Enum

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from qubes_manager.core.labels import readable_on

HEIGHT = 30
# How near to the window's edge the pointer resizes it, and how much of an edge belongs to its corner.
_GRIP, _CORNER = 6, 18
_BUTTON = 30
_SIGN = 10
_NO_EDGE = Qt.Edge(0)


class Part(Enum):
    """What of the bar is under the pointer."""

    MENU = "window menu"
    MOVE = "title"
    MINIMISE = "minimise"
    MAXIMISE = "maximise"
    CLOSE = "close"


_RIGHT = (Part.CLOSE, Part.MAXIMISE, Part.MINIMISE)


def part_at(place: QPointF, width: float) -> Part | None:
    """What lies at a place of a window of that *width*; None below the bar."""
    if not 0 <= place.y() < HEIGHT:
        return None
    for part in (Part.MENU, *_RIGHT):
        if _box(part, width).contains(place):
            return part
    return Part.MOVE


def edges_at(place: QPointF, size: QSize) -> Qt.Edge:
    """The edges by which a drag from that place resizes a window: two in its corners, none in its middle."""
    return _edges_near(place, size, _CORNER) if _edges_near(place, size, _GRIP) else _NO_EDGE


def _edges_near(place: QPointF, size: QSize, distance: float) -> Qt.Edge:
    edges = _NO_EDGE
    if place.x() < distance:
        edges |= Qt.Edge.LeftEdge
    elif place.x() >= size.width() - distance:
        edges |= Qt.Edge.RightEdge
    if place.y() < distance:
        edges |= Qt.Edge.TopEdge
    elif place.y() >= size.height() - distance:
        edges |= Qt.Edge.BottomEdge
    return edges


def paint(
    painter: QPainter, width: float, title: str, colour: str, *, is_active: bool, is_maximised: bool, over: Part | None
) -> None:
    """Draw the bar over the window's whole *width*; *over* is the part that the pointer is on."""
    ground, ink = QColor(colour), QColor(readable_on(colour))
    if not is_active:
        ink.setAlphaF(0.6)
    painter.fillRect(QRectF(0, 0, width, HEIGHT), ground)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for part in (Part.MENU, *_RIGHT):
        box = _box(part, width)
        if part is over:
            shade = QColor(ink)
            shade.setAlphaF(0.2)
            painter.fillRect(box, shade)
        painter.setPen(QPen(ink, 1.4))
        _draw_sign(painter, part, box, is_maximised)
    font = QFont()
    font.setBold(True)
    painter.setFont(font)
    painter.setPen(ink)
    room = QRectF(_BUTTON, 0, max(0.0, width - _BUTTON * (len(_RIGHT) + 1)), HEIGHT)
    shown = QFontMetricsF(font).elidedText(title, Qt.TextElideMode.ElideRight, room.width())
    painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


def _box(part: Part, width: float) -> QRectF:
    left = 0.0 if part is Part.MENU else width - _BUTTON * (_RIGHT.index(part) + 1)
    return QRectF(QPointF(left, 0), QSizeF(_BUTTON, HEIGHT))


def _draw_sign(painter: QPainter, part: Part, box: QRectF, is_maximised: bool) -> None:
    sign = QRectF(QPointF(), QSizeF(_SIGN, _SIGN))
    sign.moveCenter(box.center())
    match part:
        case Part.CLOSE:
            painter.drawLine(QLineF(sign.topLeft(), sign.bottomRight()))
            painter.drawLine(QLineF(sign.topRight(), sign.bottomLeft()))
        case Part.MAXIMISE if is_maximised:
            painter.drawRect(sign.adjusted(0, 3, -3, 0))
            painter.drawPolyline(
                [QPointF(sign.left() + 3, sign.top()), sign.topRight(), QPointF(sign.right(), sign.bottom() - 3)]
            )
        case Part.MAXIMISE:
            painter.drawRect(sign)
        case Part.MINIMISE:
            painter.drawLine(QLineF(sign.bottomLeft(), sign.bottomRight()))
        case Part.MENU:
            for down in (1, 5, 9):
                painter.drawLine(QLineF(sign.left(), sign.top() + down, sign.right(), sign.top() + down))
        case _:
            pass
