"""Which pictures can be."""

from dataclasses import replace

import pytest

from qubes_manager.viewers.protocol.packets import Box, Cursor, Draw, PixelFormat, Scroll, WindowIcon
from qubes_manager.viewers.rules import pictures

WHOLE = Draw(1, Box(0, 0, 10, 5), 40, PixelFormat.BGRX, bytes(200), 1)


@pytest.mark.parametrize(
    ("change", "is_whole"),
    [
        ({}, True),
        # The last row may end before its stride does.
        ({"stride": 64, "pixels": bytes(4 * 64 + 40)}, True),
        ({"stride": 64, "pixels": bytes(4 * 64 + 39)}, False),
        ({"pixels": bytes(199)}, False),
        ({"stride": 39}, False),
        ({"stride": 30, "pixel_format": PixelFormat.RGB, "pixels": bytes(150)}, True),
        ({"stride": -40}, False),
        ({"box": Box(0, 0, 0, 5)}, False),
        ({"box": Box(0, 0, 10, -5)}, False),
        ({"box": Box(-5, -5, 10, 5)}, True),
        ({"box": Box(1 << 30, 0, 10, 5)}, False),
        ({"box": Box(0, 0, 16385, 1), "stride": 65540, "pixels": bytes(65540)}, False),
        # It claims to be as large as a gibibyte, and brings nothing.
        ({"box": Box(0, 0, 16384, 16384), "stride": 65536}, False),
    ],
    ids=str,
)
def test_a_picture_has_all_its_bytes(change: dict[str, object], is_whole: bool) -> None:
    assert pictures.is_whole(replace(WHOLE, **change)) is is_whole  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moves", "is_sane"),
    [
        (((0, 0, 100, 50, 0, 10),), True),
        (((0, 0, 100, 50, 0, 10),) * 4, True),
        (((0, 0, 100, 50, 0, 10),) * 5, False),
        (((0, 0, 1, 1, 0, 1),) * 1025, False),
        (((0, 0, 0, 50, 0, 10),), False),
        (((0, 0, 1, 1, 1 << 30, 0),), False),
        (((0, -(1 << 31), 1, 1, 0, 0),), False),
        ((), True),
    ],
    ids=["all of it", "four times", "five times", "too many", "empty", "far away", "from far away", "nothing"],
)
def test_no_more_moves_than_there_is(moves: tuple[tuple[int, int, int, int, int, int], ...], is_sane: bool) -> None:
    assert pictures.is_sane_scroll(Scroll(1, moves, 1), 100 * 50) is is_sane


@pytest.mark.parametrize(
    ("width", "height", "size"), [(0, 5, 0), (5, 0, 0), (-1, -1, 4), (2, 2, 15), (2, 2, 17), (257, 1, 1028)]
)
def test_small_pictures_are_small_and_whole(width: int, height: int, size: int) -> None:
    assert not pictures.is_icon(WindowIcon(1, width, height, bytes(size)))
    assert not pictures.is_cursor(Cursor(0, 0, width, height, bytes(size)))


def test_what_points_lies_within_the_pointer() -> None:
    assert pictures.is_icon(WindowIcon(1, 256, 256, bytes(256 * 256 * 4)))
    assert pictures.is_cursor(Cursor(95, 95, 96, 96, bytes(96 * 96 * 4)))
    for x, y in ((96, 0), (0, 96), (-1, 0), (0, -1)):
        assert not pictures.is_cursor(Cursor(x, y, 96, 96, bytes(96 * 96 * 4)))
