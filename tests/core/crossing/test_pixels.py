"""Pictures as plain pixels: exactly as many as are said, and not too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.crossing.pixels import MOST_PIXELS, pixel_header, split_pixels


def test_a_picture_comes_as_it_was_said() -> None:
    width, height, pixels = split_pixels(pixel_header(2, 3) + bytes(range(24)))
    assert (width, height, bytes(pixels)) == (2, 3, bytes(range(24)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no picture"),
        (b"\x89PNG\r\n\x1a\n", "no picture"),
        (b"RGBA 0 5\n", "no picture"),
        (b"RGBA 99999999 99999999\n", "pixels, and 16,000,000 are taken"),
        (b"RGBA 2 2\n" + b"x" * 15, "with 15 bytes"),
        (b"RGBA 2 2\n" + b"x" * 17, "with 17 bytes"),
    ],
)
def test_what_lies_about_its_size_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split_pixels(data)


@given(st.binary(max_size=64))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    try:
        width, height, pixels = split_pixels(data)
    except ValueError:
        return
    assert len(pixels) == width * height * 4 <= MOST_PIXELS * 4
