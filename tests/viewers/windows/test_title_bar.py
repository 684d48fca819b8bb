"""The title bar of our own: what is where on it, and how it looks."""

import pytest
from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from pytestqt.qtbot import QtBot

from qubes_manager.core.labels import readable_on
from qubes_manager.viewers.windows.title_bar import HEIGHT, Part, edges_at, paint, part_at

LEFT, RIGHT, TOP, BOTTOM = Qt.Edge.LeftEdge, Qt.Edge.RightEdge, Qt.Edge.TopEdge, Qt.Edge.BottomEdge
NONE = Qt.Edge(0)


@pytest.mark.parametrize(
    ("x", "y", "part"),
    [
        (5, 15, Part.MENU),
        (200, 0, Part.MOVE),
        (200, HEIGHT - 1, Part.MOVE),
        (310, 15, Part.MINIMISE),
        (345, 15, Part.MAXIMISE),
        (399, 15, Part.CLOSE),
        (399, HEIGHT, None),
        (200, -1, None),
    ],
)
def test_each_place_of_the_bar_has_its_part(x: int, y: int, part: Part | None) -> None:
    assert part_at(QPointF(x, y), 400) is part


@pytest.mark.parametrize(
    ("x", "y", "edges"),
    [
        (0, 100, LEFT),
        (399, 100, RIGHT),
        (200, 0, TOP),
        (200, 299, BOTTOM),
        (2, 15, LEFT | TOP),
        (15, 2, LEFT | TOP),
        (398, 290, RIGHT | BOTTOM),
        (10, 100, NONE),
        (10, 10, NONE),
        (200, 150, NONE),
    ],
)
def test_a_drag_from_an_edge_or_a_corner_resizes_by_it(x: int, y: int, edges: Qt.Edge) -> None:
    assert edges_at(QPointF(x, y), QSize(400, 300)) == edges


@pytest.mark.parametrize(("colour", "ink"), [("#cc0000", "#ffffff"), ("#edd400", "#000000"), ("#000000", "#ffffff")])
def test_the_title_is_read_on_every_label(colour: str, ink: str) -> None:
    assert readable_on(colour) == ink


def test_the_bar_is_the_label_s_colour_and_says_title_and_buttons(qtbot: QtBot) -> None:
    image = QImage(400, HEIGHT, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.green)
    painter = QPainter(image)
    paint(painter, 400, "[work] letters", "#3465a4", is_active=True, is_maximised=False, over=Part.CLOSE)
    painter.end()
    ground = QColor("#3465a4").rgb()
    assert image.pixel(250, 4) == ground
    inked = {x for x in range(400) if any(image.pixel(x, y) != ground for y in range(HEIGHT))}
    for what, columns in {"menu": range(30), "title": range(30, 160), "buttons": range(310, 400)}.items():
        assert inked & set(columns), what
    assert not inked & set(range(200, 300))
    # What the pointer is on is lit.
    assert image.pixel(371, 1) != ground
    assert image.pixel(341, 1) == ground
