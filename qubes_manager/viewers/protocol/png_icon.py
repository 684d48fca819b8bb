"""Icons of windows, which both servers send as PNG and in no other form.

So this is no PNG decoder but the one kind that they write (RGBA, 8 bits, not interlaced), small, in Python alone: what
a guest says is in the hands of Python and of zlib, which makes no more bytes than the icon has. An icon of another kind
is dropped.
"""

import struct
import zlib
from collections.abc import Iterator

from qubes_manager.viewers.wire.rencode import Malformed

MAX_ICON = 64
_MAX_BYTES = 64 << 10
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA_OF_8_BITS = bytes([8, 6, 0, 0, 0])
_PIXEL = 4


def decode_icon(data: bytes, width: int, height: int) -> bytes:
    """Rows of blue, green, red, alpha (premultiplied), when *data* is an icon of this size; raises Malformed."""
    if not (0 < width <= MAX_ICON and 0 < height <= MAX_ICON and len(data) <= _MAX_BYTES):
        raise Malformed("an icon that is too large")
    chunks = list(_chunks(data))
    if dict(chunks).get(b"IHDR") != struct.pack("!II", width, height) + _RGBA_OF_8_BITS:
        raise Malformed("an icon of another kind or size than it says")
    stride = width * _PIXEL
    whole = (stride + 1) * height
    try:
        rows = zlib.decompressobj().decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"), whole)
    except zlib.error:
        raise Malformed("an icon that is none") from None
    if len(rows) != whole:
        raise Malformed("an icon that is cut off")
    return _as_bgra(_unfiltered(rows, stride))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        raise Malformed("an icon that is no PNG")
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        size, kind = struct.unpack_from("!I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def _unfiltered(rows: bytes, stride: int) -> bytes:
    """Undo what makes rows easier to compress: https://www.w3.org/TR/png-3/#9Filters."""
    found = bytearray()
    # A pixel of zeros stands to the left of each row, and a row of zeros above the first.
    above = bytes(_PIXEL + stride)
    for begin in range(0, len(rows), stride + 1):
        row = bytearray(_PIXEL) + rows[begin + 1 : begin + 1 + stride]
        kind = rows[begin]
        if kind == 1:
            for n in range(_PIXEL, len(row)):
                row[n] = row[n] + row[n - _PIXEL] & 0xFF
        elif kind == 2:
            for n in range(_PIXEL, len(row)):
                row[n] = row[n] + above[n] & 0xFF
        elif kind == 3:
            for n in range(_PIXEL, len(row)):
                row[n] = row[n] + (row[n - _PIXEL] + above[n]) // 2 & 0xFF
        elif kind == 4:
            for n in range(_PIXEL, len(row)):
                row[n] = row[n] + _paeth(row[n - _PIXEL], above[n], above[n - _PIXEL]) & 0xFF
        elif kind:
            raise Malformed("an icon with a filter that is none")
        found += row[_PIXEL:]
        above = bytes(row)
    return bytes(found)


def _paeth(left: int, up: int, corner: int) -> int:
    by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner


def _as_bgra(pixels: bytes) -> bytes:
    # The servers have premultiplied what they got from windows; what says otherwise is no colour, and made one.
    found = bytearray(len(pixels))
    alpha = pixels[3::_PIXEL]
    for place, channel in enumerate((2, 1, 0)):
        found[place::_PIXEL] = bytes(map(min, pixels[channel::_PIXEL], alpha))
    found[3::_PIXEL] = alpha
    return bytes(found)
