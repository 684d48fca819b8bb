"""The pixels of a guest's window."""

from PySide6.QtGui import QColor

from qubes_manager.viewers.protocol.packets import Box, Draw, PixelFormat, Scroll
from qubes_manager.viewers.windows.picture import Picture
from tests.viewers.windows.conftest import picture

RED, BLUE = b"\0\0\xff", b"\xff\0\0"


def colour(shown: Picture, x: int, y: int) -> str:
    return QColor(shown.image.pixel(x, y)).name()


def test_what_is_drawn_has_the_colours_that_were_sent_and_stays_when_the_size_changes() -> None:
    shown = Picture(40, 30)
    area = shown.draw(picture(1, Box(10, 10, 5, 5), RED))
    assert (area.x(), area.y(), area.width(), area.height()) == (10, 10, 5, 5)
    shown.resize(20, 60)
    assert shown.size == (20, 60)
    assert [colour(shown, 9, 9), colour(shown, 10, 10), colour(shown, 14, 14)] == ["#ffffff", "#ff0000", "#ff0000"]


def test_three_bytes_a_pixel_are_red_green_blue_in_rows_of_the_stride() -> None:
    shown = Picture(2, 2)
    rows = b"\x01\x02\x03\x04\x05\x06??" + b"\x07\x08\x09\x0a\x0b\x0c??"
    shown.draw(Draw(1, Box(0, 0, 2, 2), 8, PixelFormat.RGB, rows, 1))
    assert [colour(shown, x, y) for y in (0, 1) for x in (0, 1)] == ["#010203", "#040506", "#070809", "#0a0b0c"]


def test_a_picture_beyond_the_window_is_cut() -> None:
    shown = Picture(10, 10)
    area = shown.draw(picture(1, Box(8, 8, 5, 5), RED))
    assert (area.width(), area.height()) == (2, 2)
    assert colour(shown, 9, 9) == "#ff0000"


def test_parts_that_scroll_come_from_what_was_there_before_the_first_moved() -> None:
    shown = Picture(10, 10)
    shown.draw(picture(1, Box(0, 0, 10, 5), RED))
    shown.draw(picture(1, Box(0, 5, 10, 5), BLUE))
    area = shown.scroll(Scroll(1, ((0, 0, 10, 5, 0, 5), (0, 5, 10, 5, 0, -5)), 2))
    assert (area.width(), area.height()) == (10, 10)
    assert [colour(shown, 0, 0), colour(shown, 0, 9)] == ["#0000ff", "#ff0000"]


def test_a_scroll_from_beyond_the_window_moves_what_there_is() -> None:
    shown = Picture(10, 10)
    shown.draw(picture(1, Box(0, 8, 10, 2), RED))
    assert shown.scroll(Scroll(1, ((50, 50, 10, 10, 0, 1), (0, 8, 10, 500, 0, -8)), 2)).height() == 2
    assert colour(shown, 0, 0) == "#ff0000"
