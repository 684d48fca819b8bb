"""The pointer's picture over a guest's windows."""

import math

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QCursor, QImage, QPainter, QPixmap

from qubes_manager.viewers.protocol.packets import Cursor
from qubes_manager.viewers.windows.guest_window import GuestWindow


class GuestCursor:
    """What the guest wants, in the window that the pointer is in; the others get it when the pointer comes there."""

    def __init__(self) -> None:
        self._said: Cursor | None = None
        self._cursor = QCursor()
        self._over: GuestWindow | None = None

    def change(self, said: Cursor | None, ratio: float) -> None:
        """Have a picture, or the desktop's usual one, for a guest with *ratio* pixels to a unit of Qt's."""
        self._said = said
        self.rescale(ratio)

    def rescale(self, ratio: float) -> None:
        """Have the size that the guest's pixels have now."""
        self._cursor = cursor_of(self._said, ratio) if self._said else QCursor()
        if self._over:
            self._over.setCursor(self._cursor)

    def opened(self, window: GuestWindow) -> None:
        """A new window may be under the pointer."""
        window.setCursor(self._cursor)

    def entered(self, window: GuestWindow) -> None:
        """The pointer is in a window's picture."""
        if window is not self._over:
            self._over = window
            window.setCursor(self._cursor)

    def left(self) -> None:
        """It is elsewhere, or the window is gone that it was in."""
        self._over = None

    def is_over(self, window: GuestWindow) -> bool:
        """Whether a window is the one that the pointer is in."""
        return window is self._over


def _picture_of(said: Cursor) -> QImage:
    kind = QImage.Format.Format_RGBA8888_Premultiplied
    return QImage(said.pixels, said.width, said.height, 4 * said.width, kind)


def cursor_of(said: Cursor, ratio: float) -> QCursor:
    """A cursor as large as the guest's pixels are.

    Wayland knows whole scales of cursors alone, of which the picture's sides have to be multiples.
    """
    scale, image = math.ceil(ratio), _picture_of(said)
    if scale != ratio:
        wanted = QSize(said.width, said.height) * (scale / ratio)
        image = image.scaled(wanted, mode=Qt.TransformationMode.SmoothTransformation)
    padded = QImage(
        scale * math.ceil(image.width() / scale),
        scale * math.ceil(image.height() / scale),
        QImage.Format.Format_ARGB32_Premultiplied,
    )
    padded.fill(Qt.GlobalColor.transparent)
    painter = QPainter(padded)
    painter.drawImage(QPoint(), image)
    painter.end()
    pixmap = QPixmap.fromImage(padded)
    pixmap.setDevicePixelRatio(scale)
    return QCursor(pixmap, int(said.x_hot / ratio), int(said.y_hot / ratio))
