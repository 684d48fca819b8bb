"""Icons as the servers write them, with Pillow, and what is none."""

import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qubes_manager.viewers.protocol.png_icon import MAX_ICON, decode_icon
from qubes_manager.viewers.wire.rencode import Malformed


def _png(image: Image.Image) -> bytes:
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


def _gradient(width: int, height: int) -> Image.Image:
    # Its rows are best written with filters of all kinds.
    pixels = bytes(
        channel
        for y in range(height)
        for x in range(width)
        for channel in (x * y % 90, (x + y) % 101, x * 255 // width, 101 + (x ^ y))
    )
    return Image.frombytes("RGBA", (width, height), pixels)


@given(st.integers(1, MAX_ICON), st.integers(1, MAX_ICON))
@settings(max_examples=20, deadline=None)
def test_an_icon_is_what_pillow_wrote(width: int, height: int) -> None:
    image = _gradient(width, height)
    red, green, blue, alpha = (channel.tobytes() for channel in image.split())
    expected = bytearray(width * height * 4)
    for place, channel in enumerate((blue, green, red)):
        expected[place::4] = bytes(map(min, channel, alpha))
    expected[3::4] = alpha
    assert decode_icon(_png(image), width, height) == expected


@pytest.mark.parametrize("kind", range(5))
def test_each_filter_is_undone(kind: int) -> None:
    # Two rows of two pixels that say the same however they are filtered: all zero but for the first byte.
    rows = b"".join(bytes([kind]) + row for row in (bytes([9, 0, 0, 255] * 2), bytes(8)))
    data = _png(Image.new("RGBA", (2, 2)))
    header = data[: data.index(b"IDAT") - 4]
    packed = zlib.compress(rows)
    found = decode_icon(header + len(packed).to_bytes(4, "big") + b"IDAT" + packed + bytes(4), 2, 2)
    left = {1: 18, 4: 18, 3: 13}.get(kind, 9)
    assert (found[2], found[6]) == (9, left)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        _png(Image.new("RGB", (8, 8))),
        _png(Image.new("P", (8, 8))),
        _png(Image.new("RGBA", (8, 9))),
        _png(Image.new("RGBA", (8, 8)))[:45],
        _png(Image.new("RGBA", (8, 8))).replace(b"IDAT", b"IDOT"),
    ],
    ids=["empty", "gif", "rgb", "palette", "size", "cut", "no data"],
)
def test_another_kind_of_picture_is_no_icon(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_icon(data, 8, 8)


def test_an_icon_is_no_larger_than_it_was_asked_for() -> None:
    side = MAX_ICON + 1
    with pytest.raises(Malformed):
        decode_icon(_png(Image.new("RGBA", (side, side))), side, side)


def test_zeros_that_were_packed_well_make_no_more_bytes_than_the_icon_has() -> None:
    data = _png(Image.new("RGBA", (8, 8)))
    header = data[: data.index(b"IDAT") - 4]
    packed = zlib.compress(bytes(60 << 20))
    assert decode_icon(header + len(packed).to_bytes(4, "big") + b"IDAT" + packed + bytes(4), 8, 8) == bytes(256)
