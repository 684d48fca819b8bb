"""Reads a packet's values by their place, each of the type and within the bounds that it must have."""

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.wire.rencode import Malformed, Packet, Value

MAX_TEXT = 1024
MAX_SIDE = 32767
# No display of X has places further out (they have 16 bits), and sums of them fit into what Qt counts with.
MAX_PLACE = 1 << 20
_HALF = 1 << 31

Table = dict[bytes | int, Value]


def number(value: Value, least: int = -_HALF, most: int = _HALF - 1) -> int:
    """An integer from *least* to *most*; raises Malformed, as all here."""
    if type(value) is not int or not least <= value <= most:
        raise Malformed("a number is not one, or out of its bounds")
    return value


def flag(value: Value) -> bool:
    """A truth: some are written as 0 and 1."""
    if not isinstance(value, int):
        raise Malformed("a truth is none")
    return bool(value)


def text(value: Value, limit: int = MAX_TEXT) -> str:
    """Text, cut at *limit* characters; what is no UTF-8 becomes U+FFFD."""
    if not isinstance(value, bytes):
        raise Malformed("a text is none")
    return value[: 4 * limit].decode("utf-8", "replace")[:limit]


def word(value: Value) -> str:
    """A name of the protocol's, in ASCII."""
    if not isinstance(value, bytes) or len(value) > 40 or not value.isascii():
        raise Malformed("a name is none")
    return value.decode("ascii")


def raw(value: Value) -> bytes:
    """Bytes."""
    if not isinstance(value, bytes):
        raise Malformed("bytes are none")
    return value


def items(value: Value) -> list[Value]:
    """A list."""
    if not isinstance(value, list):
        raise Malformed("a list is none")
    return value


def table(value: Value) -> Table:
    """A dictionary."""
    if not isinstance(value, dict):
        raise Malformed("a table is none")
    return value


def wid(value: Value) -> int:
    """The number of a window."""
    return number(value, 1)


def box(packet: Packet, at: int, least: int = 1) -> Box:
    """Four values from *at* on: x, y within MAX_PLACE, width, height, the sides from *least* to MAX_SIDE."""
    x, y, width, height = packet[at : at + 4]
    x, y = (number(value, -MAX_PLACE, MAX_PLACE) for value in (x, y))
    return Box(x, y, number(width, least, MAX_SIDE), number(height, least, MAX_SIDE))
