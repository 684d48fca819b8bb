"""Packets of all versions as typed ones of ours: an allow-list by construction, since what has no reader is not read.

Names that changed since 3.1 stand beside their old ones. Left out on purpose: grabs, raising, bells, notifications,
trays, sound, clipboard, files, URLs, printing, remote control, log lines, settings, and questions for passwords.
"""

from collections import Counter
from collections.abc import Callable

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.fields import (
    MAX_SIDE,
    MAX_TEXT,
    Table,
    box,
    items,
    number,
    raw,
    table,
    text,
    wid,
    word,
)
from qubes_manager.viewers.protocol.metadata import is_override_redirect, metadata
from qubes_manager.viewers.protocol.packets import Box, Direction, FromGuest, PixelFormat
from qubes_manager.viewers.protocol.png_icon import decode_icon
from qubes_manager.viewers.wire.framing import MAX_ITEM
from qubes_manager.viewers.wire.lz4_block import decompress
from qubes_manager.viewers.wire.rencode import Malformed, Packet, Value

MAX_CURSOR = 256
_MAX_MOVES = 1_000
_UNSIGNED = (1 << 63) - 1
# The fourth byte of what a transparent window says is not looked at: windows are opaque.
_PIXEL_FORMATS = {"BGRX": PixelFormat.BGRX, "BGRA": PixelFormat.BGRX, "RGB": PixelFormat.RGB}


class Reading:
    """Makes typed packets of those of the wire; what it drops it counts, by names of ours that are few."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()

    def read(self, packet: Packet) -> FromGuest | None:
        """The packet, or None when it was dropped."""
        try:
            name = word(packet[0])
            reader = READERS.get(name)
            if reader is None:
                self.dropped["unknown"] += 1
                return None
        except Malformed:
            self.dropped["malformed"] += 1
            return None
        try:
            return reader(packet, self._drop)
        except (Malformed, IndexError, ValueError):
            # Whatever a malformed packet breaks on, it is not worth more than that.
            self.dropped[f"malformed {name}"] += 1
            return None

    def _drop(self, what: str) -> None:
        self.dropped[f"malformed {what}"] += 1


Drop = Callable[[str], object]
Reader = Callable[[Packet, Drop], FromGuest]


def _hello(packet: Packet, _drop: Drop) -> FromGuest:
    return packets.ServerHello(text(table(packet[1]).get(b"version"), 40))


def _startup_complete(_packet: Packet, _drop: Drop) -> FromGuest:
    return packets.StartupComplete()


def _ping(packet: Packet, _drop: Drop) -> FromGuest:
    return packets.Ping(number(packet[1], 0, _UNSIGNED))


def _new_window(packet: Packet, drop: Drop) -> FromGuest:
    said = table(packet[6])
    return packets.NewWindow(wid(packet[1]), box(packet, 2), not is_override_redirect(said), metadata(said, drop))


def _new_override_redirect(packet: Packet, drop: Drop) -> FromGuest:
    return packets.NewWindow(wid(packet[1]), box(packet, 2), False, metadata(table(packet[6]), drop))


def _window_metadata(packet: Packet, drop: Drop) -> FromGuest:
    return packets.WindowMetadata(wid(packet[1]), metadata(table(packet[2]), drop))


def _lost_window(packet: Packet, _drop: Drop) -> FromGuest:
    return packets.LostWindow(wid(packet[1]))


def _move_resize(packet: Packet, _drop: Drop) -> FromGuest:
    return packets.MoveResize(wid(packet[1]), box(packet, 2), _counter(packet, 6))


def _resized(packet: Packet, _drop: Drop) -> FromGuest:
    width, height = number(packet[2], 1, MAX_SIDE), number(packet[3], 1, MAX_SIDE)
    return packets.Resized(wid(packet[1]), width, height, _counter(packet, 4))


def _counter(packet: Packet, at: int) -> int:
    return number(packet[at], 0) if len(packet) > at else 0


def _draw(packet: Packet, _drop: Drop) -> FromGuest:
    where, coding, sequence = box(packet, 2), word(packet[6]), number(packet[8], 0)
    said = table(packet[10]) if len(packet) > 10 else {}
    if coding in ("rgb24", "rgb32"):
        return _picture(wid(packet[1]), where, packet, said, sequence)
    if coding == "scroll":
        return packets.Scroll(wid(packet[1]), _moves(said.get(b"scroll", packet[7])), sequence)
    if coding == "void":
        return packets.NoDraw(wid(packet[1]), where, sequence)
    raise Malformed("a picture in a form that was not asked for")


def _picture(window: int, where: Box, packet: Packet, said: Table, sequence: int) -> FromGuest:
    # What the pixels are says the option, not the encoding's name: "rgb24" comes with four bytes each, too.
    pixel_format = _PIXEL_FORMATS.get(word(said.get(b"rgb_format", b"")))
    if pixel_format is None:
        raise Malformed("pixels in a form that was not asked for")
    row = where.width * pixel_format.bytes_per_pixel
    stride = number(packet[9], row, 2 * MAX_SIDE * pixel_format.bytes_per_pixel)
    pixels = raw(packet[7])
    if b"lz4" in said:
        pixels = decompress(pixels, min(stride * where.height, MAX_ITEM))
    if len(pixels) < stride * (where.height - 1) + row:
        raise Malformed("a picture that is cut off")
    return packets.Draw(window, where, stride, pixel_format, pixels, sequence)


def _moves(value: Value) -> tuple[tuple[int, int, int, int, int, int], ...]:
    moves = items(value)
    if len(moves) > _MAX_MOVES:
        raise Malformed("too many moves")
    return tuple(_move(items(move)) for move in moves)


def _move(move: Packet) -> tuple[int, int, int, int, int, int]:
    x, y, width, height, dx, dy = (number(value, -MAX_SIDE, MAX_SIDE) for value in move)
    if min(width, height) < 1:
        raise Malformed("nothing is moved")
    return x, y, width, height, dx, dy


def _window_icon(packet: Packet, _drop: Drop) -> FromGuest:
    width, height = number(packet[2], 1), number(packet[3], 1)
    if word(packet[4]) != "png":
        raise Malformed("an icon in a form that was not asked for")
    return packets.WindowIcon(wid(packet[1]), width, height, decode_icon(raw(packet[5]), width, height))


def _cursor(packet: Packet, drop: Drop) -> FromGuest:
    if len(packet) < 3:
        return packets.DefaultCursor()
    # Two numbers before its size say where the pointer is.
    return _cursor_data([packet[0], packet[1], *packet[4:]], drop)


def _cursor_data(packet: Packet, _drop: Drop) -> FromGuest:
    coding, width, height, x_hot, y_hot, _serial, pixels = packet[1:8]
    wide, high = number(width, 1, MAX_CURSOR), number(height, 1, MAX_CURSOR)
    if word(coding) != "raw" or len(raw(pixels)) != wide * high * 4:
        raise Malformed("a pointer in a form that was not asked for")
    return packets.Cursor(number(x_hot, 0, wide - 1), number(y_hot, 0, high - 1), wide, high, raw(pixels))


def _default_cursor(_packet: Packet, _drop: Drop) -> FromGuest:
    return packets.DefaultCursor()


def _initiate_move_resize(packet: Packet, _drop: Drop) -> FromGuest:
    x, y, direction, button = packet[2:6]
    return packets.InitiateMoveResize(
        wid(packet[1]), number(x), number(y), Direction(number(direction)), number(button, 0, 255)
    )


def _disconnect(packet: Packet, _drop: Drop) -> FromGuest:
    reasons = [text(value, MAX_TEXT) for value in packet[1:4] if isinstance(value, bytes)]
    return packets.Disconnect(" ".join(reasons)[:MAX_TEXT])


# By the name that the guest says.
READERS: dict[str, Reader] = {
    "hello": _hello,
    "startup-complete": _startup_complete,
    "ping": _ping,
    "new-window": _new_window,
    "window-create": _new_window,
    "new-override-redirect": _new_override_redirect,
    "window-metadata": _window_metadata,
    "lost-window": _lost_window,
    "window-destroy": _lost_window,
    "window-move-resize": _move_resize,
    "configure-override-redirect": _move_resize,
    "window-resized": _resized,
    "draw": _draw,
    "window-draw": _draw,
    "window-icon": _window_icon,
    "cursor": _cursor,
    "cursor-data": _cursor_data,
    "cursor-default": _default_cursor,
    "initiate-moveresize": _initiate_move_resize,
    "window-initiate-moveresize": _initiate_move_resize,
    "disconnect": _disconnect,
    "connection-close": _disconnect,
}
