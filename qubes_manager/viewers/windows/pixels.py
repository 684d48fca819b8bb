"""Parts of a window in Qt's units and in the screen's pixels, of which a unit has *ratio*."""

import math

from PySide6.QtCore import QRect
from PySide6.QtGui import QRegion


def within_units(region: QRegion, ratio: float) -> QRegion:
    """The part of the window, in Qt's units, that has all of a *region* of pixels in it."""
    box = region.boundingRect()
    left, top = math.floor(box.left() / ratio), math.floor(box.top() / ratio)
    right, bottom = math.ceil((box.right() + 1) / ratio), math.ceil((box.bottom() + 1) / ratio)
    return QRegion(left, top, right - left, bottom - top)


def within_pixels(box: QRect, ratio: float) -> QRect:
    """A rectangle of Qt's units in pixels; those that are there in part belong to it."""
    left, top = math.floor(box.left() * ratio), math.floor(box.top() * ratio)
    right, bottom = math.ceil((box.right() + 1) * ratio), math.ceil((box.bottom() + 1) * ratio)
    return QRect(left, top, right - left, bottom - top)


def sides_of(outer: QRect, inner: QRect) -> tuple[QRect, ...]:
    """What lies in *outer* around *inner*: above, below, left and right of it."""
    width, below = outer.width() + 1, inner.bottom() + 1
    return (
        QRect(0, 0, width, inner.top()),
        QRect(0, below, width, max(0, outer.height() + 1 - below)),
        QRect(0, inner.top(), inner.left(), inner.height()),
        QRect(inner.right() + 1, inner.top(), max(0, width - inner.right() - 1), inner.height()),
    )
