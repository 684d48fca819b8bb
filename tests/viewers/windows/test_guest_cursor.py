"""Pointers are as large as the guest's pixels are."""

import pytest
from PySide6.QtCore import QPoint, QSize
from PySide6.QtGui import QColor, QGuiApplication

from qubes_manager.viewers.protocol.packets import Cursor
from qubes_manager.viewers.windows.guest_cursor import cursor_of

RED = b"\xff\0\0\xff"


@pytest.mark.parametrize(
    ("ratio", "pixels", "scale", "hot"),
    [(1, (33, 20), 1, (16, 10)), (2, (34, 20), 2, (8, 5)), (1.25, (54, 32), 2, (12, 8)), (1.5, (44, 28), 2, (10, 6))],
)
def test_a_pointer_has_a_whole_scale_and_the_size_of_the_guest_s_pixels(
    qapp: QGuiApplication, ratio: float, pixels: tuple[int, int], scale: int, hot: tuple[int, int]
) -> None:
    assert qapp
    found = cursor_of(Cursor(16, 10, 33, 20, RED * 660), ratio)
    pixmap = found.pixmap()
    assert (pixmap.size(), pixmap.devicePixelRatio(), found.hotSpot()) == (QSize(*pixels), scale, QPoint(*hot))
    image = pixmap.toImage()
    assert image.pixelColor(10, 10) == QColor(255, 0, 0)
