"""xpra's frames: eight bytes (``P``, flags, level of compression, index, size), then a packet or an item of one.

A packet's large items come before it, each in a frame of its own whose index says which item it is. What is wrong here
breaks the connection, since nobody could say where the next packet begins; what is wrong within a frame costs that
packet alone.

The guest says sizes, but memory is taken for bytes as they come, for a frame and for all items of a packet together up
to MAX_ITEM. No frame is compressed: none of it was asked for, and whatever takes a frame apart would be reached by all
packets.
"""

import struct
from collections.abc import Iterator

from qubes_manager.viewers.wire.rencode import Malformed, Packet, Sayable, decode, encode

# A picture of two screens of 4K side by side, with four bytes a pixel.
MAX_ITEM = 64 << 20
# The largest are hellos (some 20 KiB) and pictures that are not worth a frame of their own (32 KiB).
MAX_PACKET = 1 << 20
_MAX_INDEX = 15

RENCODE, RENCODEPLUS = 0x01, 0x10
# "Nothing follows at once": nothing depends on it.
_FLUSH = 0x08

_HEADER = struct.Struct("!BBBBL")
_MAGIC = ord("P")


class Broken(Exception):
    """The bytes are no frames, or of a size that none has: nothing more can be understood."""


class FrameReader:
    """Cuts bytes into packets, whose values are of one form: RENCODE or RENCODEPLUS."""

    def __init__(self, form: int) -> None:
        self._form = form
        self._buffer = bytearray()
        # None is an item that is compressed.
        self._items: dict[int, bytes | None] = {}
        self._room = MAX_ITEM

    def feed(self, data: bytes) -> Iterator[Packet | Malformed]:
        """Take *data*, of any length; what is complete comes from the iterator, which may be left and taken up again.

        It raises Broken.
        """
        self._buffer += data
        return self._complete()

    def _complete(self) -> Iterator[Packet | Malformed]:
        while len(self._buffer) >= _HEADER.size:
            magic, flags, level, index, size = _HEADER.unpack_from(self._buffer)
            if magic != _MAGIC:
                raise Broken("what came is no packet")
            if index > _MAX_INDEX or size > (self._room if index else MAX_PACKET):
                raise Broken(f"a packet of {size} bytes came, for item {index}")
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as view:
                body = bytes(view[_HEADER.size : end])
            del self._buffer[:end]
            if index:
                self._items[index] = None if level else body
                self._room -= size
                continue
            try:
                yield self._packet(flags & ~_FLUSH, level, body)
            except Malformed as error:
                yield error

    def _packet(self, form: int, level: int, body: bytes) -> Packet:
        items, self._items, self._room = self._items, {}, MAX_ITEM
        if form != self._form or level:
            raise Malformed("a packet in a form that was not asked for")
        packet = decode(body)
        if not isinstance(packet, list) or not packet:
            raise Malformed("a packet that is no list")
        for index, item in items.items():
            if item is None or index >= len(packet) or packet[index] != b"":
                raise Malformed("an item that is compressed, or has no place in its packet")
            packet[index] = item
        return packet


def frame(form: int, packet: list[Sayable]) -> bytes:
    """*packet* as it goes to the server."""
    body = encode(packet)
    return _HEADER.pack(_MAGIC, form, 0, 0, len(body)) + body
