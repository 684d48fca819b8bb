"""A menu as a window that we draw: Qt's own needs its widgets, which would be an eighth of a viewer's memory.

What has entries of its own shows them in the same window, in the place of those before.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QSize, Qt
from PySide6.QtGui import (
    QAccessibleInterface,
    QColor,
    QExposeEvent,
    QFont,
    QFontMetrics,
    QGuiApplication,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QRasterWindow,
    QWindow,
)

from qubes_manager.core.labels import readable_on

_MARGIN, _GAP, _EDGE = 12, 4, 1
_MNEMONIC = Qt.TextFlag.TextShowMnemonic
_MIDDLE, _RIGHT = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignRight
_CHOOSING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space, Qt.Key.Key_Right)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a text, whose letter after "&" chooses it, what it does or the *entries* that it leads to, and keys."""

    text: str
    act: Callable[[], object] | None = None
    keys: str = ""
    entries: tuple["Entry", ...] = ()


class MenuWindow(QRasterWindow):
    """Shows *entries* below a *heading* in a *colour* until one is chosen, or the user does something else."""

    def __init__(self, heading: str, colour: str, entries: Sequence[Entry], parent: QWindow) -> None:
        super().__init__()
        self.accessible: QAccessibleInterface | None = None
        self._heading, self._colour = heading, QColor(colour)
        self._pages = [tuple(entries)]
        self._lit: Entry | None = None
        # The button that opened it may still be down: it chooses nothing where it is.
        self._began: QPointF | None = None
        self._is_armed = False
        self._bold = QFont()
        self._bold.setBold(True)
        self._metrics = QFontMetrics(QFont())
        self._line = self._metrics.height() + 2 * _GAP
        self.setFlags(Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setTransientParent(parent)
        self.resize(self._size_of(entries))
        self._light(None)

    def pop_up(self, place: QPoint) -> None:
        """Open at a *place* of the screen."""
        room = self.transientParent().screen().availableGeometry()
        if not self._is_placed_by_compositor:
            place.setX(max(room.left(), min(place.x(), room.right() - self.width())))
            place.setY(max(room.top(), min(place.y(), room.bottom() - self.height())))
        self.setPosition(place)
        self.show()

    @property
    def _is_placed_by_compositor(self) -> bool:
        return QGuiApplication.platformName().startswith("wayland")

    @property
    def _entries(self) -> tuple[Entry, ...]:
        return self._pages[-1]

    # Sizes.

    def _size_of(self, entries: Sequence[Entry]) -> QSize:
        heading = QFontMetrics(self._bold).horizontalAdvance(self._heading)
        widths = [self._metrics.size(_MNEMONIC, entry.text + 4 * " " + entry.keys).width() for entry in entries]
        size = QSize(max(heading, *widths) + 2 * (_MARGIN + _EDGE), self._line * (len(entries) + 1) + 2 * _EDGE)
        for entry in entries:
            if entry.entries:
                size = size.expandedTo(self._size_of(entry.entries))
        return size

    def _box(self, line: int) -> QRect:
        return QRect(_EDGE, _EDGE + line * self._line, self.width() - 2 * _EDGE, self._line)

    def _entry_at(self, place: QPointF) -> Entry | None:
        return next((e for n, e in enumerate(self._entries, 1) if self._box(n).contains(place.toPoint())), None)

    # Drawing.

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it whole: it is small."""
        palette = QGuiApplication.palette()
        painter = QPainter(self)
        painter.fillRect(QRect(QPoint(), self.size()), self._colour)
        painter.fillRect(QRect(QPoint(), self.size()).adjusted(_EDGE, _EDGE, -_EDGE, -_EDGE), palette.window())
        head = self._box(0)
        painter.fillRect(head, self._colour)
        painter.setPen(QColor(readable_on(self._colour.name())))
        painter.setFont(self._bold)
        painter.drawText(head.adjusted(_MARGIN, 0, -_MARGIN, 0), _MIDDLE, self._heading)
        painter.setFont(QFont())
        for number, entry in enumerate(self._entries, 1):
            box = self._box(number)
            ink = QPalette.ColorRole.WindowText
            if entry is self._lit:
                painter.fillRect(box, palette.highlight())
                ink = QPalette.ColorRole.HighlightedText
            painter.setPen(palette.color(ink))
            inner = box.adjusted(_MARGIN, 0, -_MARGIN, 0)
            painter.drawText(inner, _MIDDLE | _MNEMONIC, entry.text)
            painter.drawText(inner, _MIDDLE | _RIGHT, "›" if entry.entries else entry.keys)
        painter.end()

    def _light(self, entry: Entry | None) -> None:
        self._lit = entry
        # What a screen reader hears.
        spoken = re.sub("&(.)", r"\1", entry.text) if entry else ""
        self.setTitle(f"{self._heading}: {spoken}" if spoken else self._heading)
        self.update()

    # What the user does.

    def exposeEvent(self, event: QExposeEvent) -> None:
        """Take keys and clicks wherever they go, as menus do; a compositor gives them by itself."""
        super().exposeEvent(event)
        if self.isExposed() and not self._is_placed_by_compositor:
            self.setKeyboardGrabEnabled(True)
            self.setMouseGrabEnabled(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Go for good."""
        super().hideEvent(event)
        self.deleteLater()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show what would be chosen."""
        self._began = self._began or event.position()
        distance = (event.position() - self._began).manhattanLength()
        self._is_armed |= distance >= QGuiApplication.styleHints().startDragDistance()
        if (entry := self._entry_at(event.position())) is not self._lit:
            self._light(entry)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close where it is beside the menu."""
        self._is_armed = True
        if not QRect(QPoint(), self.size()).contains(event.position().toPoint()):
            self.hide()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Choose."""
        if self._is_armed:
            self._choose(self._entry_at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move through the entries, choose, go back or close."""
        key = event.key()
        if key == Qt.Key.Key_Escape or (key == Qt.Key.Key_Left and len(self._pages) > 1):
            self._go_back()
        elif key in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            self._step(1 if key == Qt.Key.Key_Down else -1)
        elif key in _CHOOSING:
            self._choose(self._lit)
        elif letter := event.text().lower():
            self._choose(next((e for e in self._entries if f"&{letter}" in e.text.lower().replace("&&", "")), None))

    def event(self, event: QEvent) -> bool:
        """Go where the desktop says so."""
        if event.type() == QEvent.Type.Close:
            self.hide()
            return True
        return super().event(event)

    def _step(self, by: int) -> None:
        number = self._entries.index(self._lit) + by if self._lit else min(by, 0)
        self._light(self._entries[number % len(self._entries)])

    def _go_back(self) -> None:
        if len(self._pages) == 1:
            self.hide()
            return
        self._pages.pop()
        self._light(None)

    def _choose(self, entry: Entry | None) -> None:
        if entry is None:
            return
        if entry.entries:
            self._pages.append(entry.entries)
            self._light(entry.entries[0])
        elif entry.act:
            self.hide()
            entry.act()
