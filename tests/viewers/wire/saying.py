"""Packets as a server says them, of any values at all."""

import struct

from qubes_manager.viewers.wire.framing import RENCODE, RENCODEPLUS
from qubes_manager.viewers.wire.rencode import Packet, Value

FORMS = {"3.1": RENCODE, "5.1": RENCODEPLUS, "6.5": RENCODEPLUS}
HEADER = struct.Struct("!cBBBL")


def framed(packet: Packet, form: int) -> bytes:
    """A packet with all of it in one frame."""
    body = value_of(packet)
    return HEADER.pack(b"P", form, 0, 0, len(body)) + body


def value_of(value: Value) -> bytes:
    """A value in rencode, of any kind."""
    match value:
        case bool():
            return b"C" if value else b"D"
        case None:
            return b"E"
        case int():
            return b"A" + value.to_bytes(8, "big", signed=True)
        case float():
            return b"," + struct.pack("!d", value)
        case bytes():
            return b"%d:" % len(value) + value
        case list():
            return b";" + b"".join(map(value_of, value)) + b"\x7f"
        case dict():
            return b"<" + b"".join(value_of(key) + value_of(inside) for key, inside in value.items()) + b"\x7f"
