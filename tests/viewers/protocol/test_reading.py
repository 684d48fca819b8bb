"""Each kind of packet, as the servers say it, becomes one of ours; and what is odd about one is dropped with it."""

import lz4.block
import pytest

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.packets import Box, Direction, FromGuest, Metadata, PixelFormat
from qubes_manager.viewers.protocol.reading import Reading
from qubes_manager.viewers.wire.rencode import Packet, Value

_BGRX: Value = {b"rgb_format": b"BGRX", b"flush": 0}
_PIXELS = bytes(range(48))


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        ([b"hello", {b"version": b"6.5.5", b"hostname": b"guest"}], packets.ServerHello("6.5.5")),
        ([b"startup-complete"], packets.StartupComplete()),
        ([b"ping", 1_700_000_000_000, 0, b"sid"], packets.Ping(1_700_000_000_000)),
        ([b"new-window", 3, 1, 2, 30, 40, {}, {}], packets.NewWindow(3, Box(1, 2, 30, 40), True, Metadata())),
        ([b"window-create", 3, 1, 2, 30, 40, {}, {}], packets.NewWindow(3, Box(1, 2, 30, 40), True, Metadata())),
        (
            [b"window-create", 3, -1, -2, 30, 40, {b"override-redirect": True, b"title": b"menu"}],
            packets.NewWindow(3, Box(-1, -2, 30, 40), False, Metadata(title="menu")),
        ),
        (
            [b"new-override-redirect", 3, 1, 2, 30, 40, {}, {}],
            packets.NewWindow(3, Box(1, 2, 30, 40), False, Metadata()),
        ),
        (
            [b"window-metadata", 3, {b"title": "Grüße".encode()}],
            packets.WindowMetadata(3, Metadata(title="Grüße")),
        ),
        ([b"lost-window", 3], packets.LostWindow(3)),
        ([b"window-destroy", 3], packets.LostWindow(3)),
        ([b"window-move-resize", 3, 1, 2, 30, 40, 7], packets.MoveResize(3, Box(1, 2, 30, 40), 7)),
        ([b"configure-override-redirect", 3, 1, 2, 30, 40], packets.MoveResize(3, Box(1, 2, 30, 40))),
        ([b"window-resized", 3, 30, 40, 7], packets.Resized(3, 30, 40, 7)),
        ([b"cursor", b""], packets.DefaultCursor()),
        ([b"cursor-default"], packets.DefaultCursor()),
        (
            [b"cursor", b"raw", 0, 0, 4, 3, 1, 2, 99, _PIXELS, b"left_ptr", 24, 64, 64],
            packets.Cursor(1, 2, 4, 3, _PIXELS),
        ),
        ([b"cursor-data", b"raw", 4, 3, 1, 2, 99, _PIXELS, b"left_ptr"], packets.Cursor(1, 2, 4, 3, _PIXELS)),
        (
            [b"initiate-moveresize", 3, 10, 20, 8, 1, 1],
            packets.InitiateMoveResize(3, 10, 20, Direction.MOVE, 1),
        ),
        ([b"disconnect", b"server exit", b"bye"], packets.Disconnect("server exit bye")),
        ([b"draw", 3, 1, 2, 4, 3, b"void", b"", 9, 0, {}], packets.NoDraw(3, Box(1, 2, 4, 3), 9)),
        (
            [b"draw", 3, 0, 0, 40, 30, b"scroll", [[0, 10, 40, 20, 0, -10]], 9, 0, {}],
            packets.Scroll(3, ((0, 10, 40, 20, 0, -10),), 9),
        ),
        (
            [b"window-draw", 3, 0, 0, 40, 30, b"scroll", b"", 9, 0, {b"scroll": [[0, 10, 40, 20, 0, -10]]}],
            packets.Scroll(3, ((0, 10, 40, 20, 0, -10),), 9),
        ),
        (
            [b"draw", 3, 1, 2, 4, 3, b"rgb24", _PIXELS, 9, 16, _BGRX],
            packets.Draw(3, Box(1, 2, 4, 3), 16, PixelFormat.BGRX, _PIXELS, 9),
        ),
        (
            [b"draw", 3, 1, 2, 4, 4, b"rgb24", _PIXELS, 9, 12, {b"rgb_format": b"RGB"}],
            packets.Draw(3, Box(1, 2, 4, 4), 12, PixelFormat.RGB, _PIXELS, 9),
        ),
        (
            [b"draw", 3, 1, 2, 4, 3, b"rgb32", lz4.block.compress(_PIXELS), 9, 16, {b"rgb_format": b"BGRA", b"lz4": 1}],
            packets.Draw(3, Box(1, 2, 4, 3), 16, PixelFormat.BGRX, _PIXELS, 9),
        ),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else type(value).__name__,
)
def test_a_packet_is_read(packet: Packet, expected: FromGuest) -> None:
    reading = Reading()
    assert reading.read(packet) == expected
    assert not reading.dropped


@pytest.mark.parametrize(
    "packet",
    [
        [b"draw", 3, 1, 2, 4, 3, b"png", _PIXELS, 9, 16, {}],
        [b"draw", 3, 1, 2, 4, 3, b"rgb32", _PIXELS, 9, 16, {}],
        [b"draw", 3, 1, 2, 4, 3, b"rgb32", _PIXELS, 9, 16, {b"rgb_format": b"r210"}],
        [b"draw", 3, 1, 2, 4, 3, b"rgb32", _PIXELS[1:], 9, 16, _BGRX],
        [b"draw", 3, 1, 2, 4, 3, b"rgb32", _PIXELS, 9, 15, _BGRX],
        [b"draw", 3, 1, 2, 0, 3, b"rgb32", _PIXELS, 9, 16, _BGRX],
        [b"draw", 3, 1, 2, 4, 3, b"rgb32", _PIXELS, 9, 16, {b"rgb_format": b"BGRX", b"lz4": 1}],
        [b"draw", 3, 1, 2, 4, 3, b"rgb32", _PIXELS, 9, 16, {b"rgb_format": b"BGRX", b"zlib": 1}][:-1],
        [b"draw", 3, 1, 2, 32767, 32767, b"rgb32", b"", 9, 1 << 17, _BGRX],
        [b"draw", 3, 1, 2, 4, 3, b"scroll", [[0, 0, 1, 1, 0]], 9, 0, {}],
        [b"draw", 3, 1, 2, 4, 3, b"scroll", [[0, 0, 1, 1, 0, 1]] * 1001, 9, 0, {}],
        [b"cursor", b"png", 0, 0, 4, 3, 1, 2, 99, _PIXELS, b""],
        [b"cursor", b"raw", 0, 0, 1920, 96, 1, 2, 99, _PIXELS, b""],
        [b"cursor", b"raw", 0, 0, 4, 3, 4, 2, 99, _PIXELS, b""],
        [b"new-window", 3, 1, 2, 32768, 40, {}],
        [b"new-window", 3, 1 << 31, 2, 30, 40, {}],
        [b"new-window", True, 1, 2, 30, 40, {}],
        [b"new-window", 3, 1, 2, 30, 40, []],
        [b"lost-window", 0],
        [b"lost-window", b"3"],
        [b"initiate-moveresize", 3, 10, 20, 99, 1, 1],
        [b"ping", 1 << 63],
        [b"hello", b"version"],
    ],
    ids=lambda packet: packet[0].decode(),
)
def test_a_packet_that_is_odd_is_dropped_and_counted(packet: Packet) -> None:
    reading = Reading()
    assert reading.read(packet) is None
    assert reading.dropped.total() == 1


@pytest.mark.parametrize(
    "name",
    [
        "raise-window",
        "pointer-grab",
        "bell",
        "notify_show",
        "new-tray",
        "clipboard-token",
        "send-file",
        "open-url",
        "challenge",
        "control",
        "sound-data",
        "setting-change",
        "pointer-position",
        "print-file",
    ],
)
def test_what_nobody_reads_has_no_reader(name: str) -> None:
    reading = Reading()
    assert reading.read([name.encode(), 1, 2, 3]) is None
    assert reading.dropped == {"unknown": 1}
