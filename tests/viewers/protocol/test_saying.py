"""What is said, as the servers' handlers take it."""

import pytest

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.packets import Box, WindowState
from qubes_manager.viewers.protocol.saying import Plain, packet_of
from qubes_manager.viewers.wire.rencode import Sayable, decode, encode

_BOX = Box(1, 2, 30, 40)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (packets.MapWindow(3, _BOX), ["map-window", 3, 1, 2, 30, 40, {}, {}]),
        (
            packets.MapWindow(3, _BOX, WindowState(maximized=True)),
            ["map-window", 3, 1, 2, 30, 40, {}, {"maximized": True}],
        ),
        (packets.UnmapWindow(3), ["unmap-window", 3, True]),
        (
            packets.ConfigureWindow(3, _BOX, WindowState(iconified=False)),
            ["configure-window", 3, 1, 2, 30, 40, {}, 7, {"iconified": False}, False],
        ),
        (
            packets.ConfigureWindow(3, None, WindowState(fullscreen=True)),
            ["configure-window", 3, 0, 0, 1, 1, {}, 7, {"fullscreen": True}, True],
        ),
        (packets.CloseWindow(3), ["close-window", 3]),
        (packets.RefreshWindow(3), ["buffer-refresh", 3, 0, 100]),
        (packets.PointerPosition(3, 5, 6, (), (1,)), ["pointer-position", 3, (5, 6), (), (1,)]),
        (packets.ButtonAction(3, 9, False, 5, 6), ["button-action", 3, 9, False, (5, 6), (), ()]),
        (packets.DamageDone(99, 3, 30, 40, 500), ["damage-sequence", 99, 3, 30, 40, 500, ""]),
        (packets.PingEcho(1234), ["ping_echo", 1234, 0, 0, 0, -1]),
        (
            packets.ScreenChanged(800, 600, 120),
            ["desktop_size", 800, 600, (), 1, (), 800, 600, 120, 120, 0, {}],
        ),
        (packets.Goodbye(), ["disconnect", "closed"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_is_a_packet(message: Plain, said: list[Sayable]) -> None:
    assert packet_of(message, 7) == said
    assert decode(encode(said))
