"""What the viewer says as a packet of the wire; all versions that are known understand it in the same words."""

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.packets import ConfigureWindow, ScreenChanged, WindowState
from qubes_manager.viewers.wire.rencode import Sayable

# What is not said by ``dialect.hello``, and by the session's wheel and its keyboard.
Plain = (
    packets.ScreenChanged
    | packets.MapWindow
    | packets.UnmapWindow
    | packets.ConfigureWindow
    | packets.CloseWindow
    | packets.RefreshWindow
    | packets.PointerPosition
    | packets.ButtonAction
    | packets.DamageDone
    | packets.PingEcho
    | packets.Goodbye
)


def packet_of(message: Plain, counter: int) -> list[Sayable]:
    """The packet that says *message*; *counter* is of the last size that the server itself gave the window."""
    match message:
        case packets.MapWindow(wid, box, state):
            return ["map-window", wid, box.x, box.y, box.width, box.height, {}, _state(state)]
        case packets.UnmapWindow(wid):
            return ["unmap-window", wid, True]
        case packets.ConfigureWindow():
            return _configure(message, counter)
        case packets.CloseWindow(wid):
            return ["close-window", wid]
        case packets.RefreshWindow(wid):
            return ["buffer-refresh", wid, 0, 100]
        case packets.DamageDone(sequence, wid, width, height, microseconds):
            return ["damage-sequence", sequence, wid, width, height, microseconds, ""]
        case packets.PingEcho(time):
            # The host's load and how far away the guest is are none of the guest's business.
            return ["ping_echo", time, 0, 0, 0, -1]
        case packets.ScreenChanged():
            return _screen_changed(message)
        case packets.Goodbye():
            return ["disconnect", "closed"]
    return _input(message)


def _input(message: packets.PointerPosition | packets.ButtonAction) -> list[Sayable]:
    match message:
        case packets.PointerPosition(wid, x, y, modifiers, buttons):
            return ["pointer-position", wid, (x, y), modifiers, buttons]
        case packets.ButtonAction(wid, button, pressed, x, y, modifiers, buttons):
            return ["button-action", wid, button, pressed, (x, y), modifiers, buttons]


def _configure(message: ConfigureWindow, counter: int) -> list[Sayable]:
    box, state = message.box, _state(message.state)
    if box is None:
        return ["configure-window", message.wid, 0, 0, 1, 1, {}, counter, state, True]
    return ["configure-window", message.wid, box.x, box.y, box.width, box.height, {}, counter, state, False]


def _state(state: WindowState) -> dict[str, Sayable]:
    said = {"maximized": state.maximized, "fullscreen": state.fullscreen, "iconified": state.iconified}
    return {name: value for name, value in said.items() if value is not None}


def _screen_changed(message: ScreenChanged) -> list[Sayable]:
    size = (message.width, message.height)
    # No screens one by one, desktops, rate or monitors.
    return ["desktop_size", *size, (), 1, (), *size, message.dpi, message.dpi, 0, {}]
