"""What of a window waits to be painted, and how that is done: the guest's picture with the frame around it."""

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QBackingStore, QColor, QPainter, QRegion, QWindow

from qubes_manager.viewers.windows import title_bar
from qubes_manager.viewers.windows.frame import Frame
from qubes_manager.viewers.windows.picture import Picture
from qubes_manager.viewers.windows.pixels import sides_of, within_pixels, within_units
from qubes_manager.viewers.windows.title_bar import Part


class Canvas:
    """The pixels of a *window* on the host. Areas are the guest's pixels, of which a unit of Qt's has *ratio*."""

    def __init__(self, window: QWindow) -> None:
        self._window = window
        self._store: QBackingStore | None = QBackingStore(window)
        self._dirty = QRegion()

    def end(self) -> None:
        """Let go of the screen: the store speaks of its window when it goes, which Qt may still tell to be seen."""
        self._store = None

    def renew(self) -> None:
        """Begin anew, after ``end``, for a window that comes to the screen again."""
        self._store = QBackingStore(self._window)

    @property
    def is_dirty(self) -> bool:
        """Whether something waits to be painted."""
        return not self._dirty.isEmpty()

    def mark(self, area: QRect) -> None:
        """Have an area painted next time."""
        self._dirty += area

    def paint(self, picture: Picture, frame: Frame, ratio: float, lit: Part | None) -> None:
        """Put what waits on the screen, as far as the window is to be seen; *lit* is under the pointer."""
        dirty, self._dirty = self._dirty, QRegion()
        if self._store is None or dirty.isEmpty() or not self._window.isExposed():
            return
        size = self._window.size()
        region = dirty if ratio == 1 else within_units(dirty, ratio)
        if is_resampled := ratio != self._window.devicePixelRatio():
            # Each pixel of the screen has something of those around it.
            region = QRegion(region.boundingRect().adjusted(-1, -1, 1, 1))
        region &= QRect(QPoint(), size)
        if self._store.size() != size:
            self._store.resize(size)
            region = QRegion(QRect(QPoint(), size))
        self._store.beginPaint(region)
        painter = QPainter(self._store.paintDevice())
        painter.setClipRegion(region)
        painter.scale(1 / ratio, 1 / ratio)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, is_resampled)
        # A picture may be larger than the window for a moment, and never covers the frame.
        room = QRect(frame.corner, QSize(*frame.within(size * ratio)))
        inner = picture.image.rect().translated(frame.corner) & room
        bounds = within_pixels(region.boundingRect(), ratio)
        if not inner.contains(bounds):
            colour = QColor(frame.colour)
            for side in sides_of(QRect(QPoint(), size * ratio), inner):
                painter.fillRect(side, colour)
            if frame.has_title_bar:
                self._paint_title(painter, frame, ratio, lit)
        part = inner & bounds
        painter.drawImage(part.topLeft(), picture.image, part.translated(-frame.corner))
        painter.end()
        self._store.endPaint()
        self._store.flush(region)

    def _paint_title(self, painter: QPainter, frame: Frame, ratio: float, lit: Part | None) -> None:
        window = self._window
        painter.save()
        unit = frame.top / title_bar.HEIGHT
        painter.scale(unit, unit)
        title_bar.paint(
            painter,
            window.width() * ratio / unit,
            window.title(),
            frame.colour,
            is_active=window.isActive(),
            is_maximised=bool(window.windowStates() & Qt.WindowState.WindowMaximized),
            over=lit,
        )
        painter.restore()
