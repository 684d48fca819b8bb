"""What a guest's window shows: its pixels, which outlive each repaint."""

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage, QPainter

from qubes_manager.viewers.protocol.packets import Draw, PixelFormat, Scroll

_FORMATS = {PixelFormat.BGRX: QImage.Format.Format_RGB32, PixelFormat.RGB: QImage.Format.Format_RGB888}


class Picture:
    """The pixels of one window. They are opaque; what the guest has not drawn yet is white."""

    def __init__(self, width: int, height: int) -> None:
        self.image = _blank(width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.width(), self.image.height()

    def resize(self, width: int, height: int) -> None:
        """Take another size; what fits of the pixels stays where it is."""
        if (width, height) == self.size:
            return
        image = _blank(width, height)
        painter = QPainter(image)
        painter.drawImage(0, 0, self.image)
        painter.end()
        self.image = image

    def draw(self, packet: Draw) -> QRect:
        """Draw what the guest sent and return where that was."""
        box = packet.box
        pixels = QImage(packet.pixels, box.width, box.height, packet.stride, _FORMATS[packet.pixel_format])
        painter = QPainter(self.image)
        painter.drawImage(box.x, box.y, pixels)
        painter.end()
        return QRect(box.x, box.y, box.width, box.height) & self.image.rect()

    def scroll(self, packet: Scroll) -> QRect:
        """Move parts of the picture, each from what was there before the first, and return the area that changed."""
        moves = [
            (QRect(x, y, width, height) & self.image.rect(), dx, dy) for x, y, width, height, dx, dy in packet.moves
        ]
        parts = [(area.translated(dx, dy), self.image.copy(area)) for area, dx, dy in moves if not area.isEmpty()]
        changed = QRect()
        painter = QPainter(self.image)
        for area, part in parts:
            painter.drawImage(area.topLeft(), part)
            changed |= area
        painter.end()
        return changed & self.image.rect()


def _blank(width: int, height: int) -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.white)
    return image


def argb(width: int, height: int, pixels: bytes) -> QImage:
    """A small picture of the guest's that need not be opaque: an icon."""
    return QImage(pixels, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied)
