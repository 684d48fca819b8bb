"""Shows one domain's application windows: xpra's own client, held to the host's rules.

Usage: gui.py FD, the number of a socket that is connected to the guest's display server.
The rules come as a line of JSON on standard input, and again whenever they change; end of file ends the program. What
happens is told on standard output, a line of JSON each. Runs under the system's Python, which is the one that has xpra.
"""

import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Connected, Denied, Go, Launch, Mapped, Order, Unusable, Windows
from qubes_manager.viewers.guard import Guard
from qubes_manager.viewers.host import Host

# The rules are held by replacing methods of xpra's client: only with a version whose methods are known to be those.
KNOWN_XPRA = "3."
# Bytes of address space: a guest that sends windows without end must not take the host's memory.
MEMORY_LIMIT = 6 << 30
EXIT_UNUSABLE = 72
OPTIONS = (
    "--clipboard=no",
    "--speaker=off",
    "--microphone=off",
    "--webcam=no",
    "--notifications=no",
    "--printing=no",
    "--file-transfer=no",
    "--open-files=no",
    "--open-url=no",
    "--system-tray=no",
    "--tray=no",
    "--bell=no",
    "--mdns=no",
    "--opengl=no",
    "--mmap=no",
    "--xsettings=no",
    "--modal-windows=no",
    "--remote-logging=no",
    "--pings=no",
    "--sharing=no",
    "--dbus-proxy=no",
    "--start-new-commands=no",
    "--window-close=forward",
    # Of the encodings of packets the one that holds plain data only.
    "--packet-encoders=rencode",
    "--compressors=lz4,zlib",
    "--encoding=rgb",
    "--compression_level=1",
    "--title=@title@",
)


class Viewer:
    """The client's side of one domain: the guard, the border, and what is told to the supervisor."""

    def __init__(self, rules: GuiRules, host: Host) -> None:
        self.host = host
        self.guard = Guard(rules, lambda: self.screen, self.refused)
        self.client: Any = None
        # Packets are judged in xpra's network thread, which must not ask GDK.
        self.screen = (1, 1)
        self._refused: set[str] = set()
        self._startup_id = ""

    def refused(self, what: str) -> None:
        """Say once what the guest tried."""
        if what not in self._refused:
            self._refused.add(what)
            self.host.report(Denied(what))

    def on_order(self, order: Order) -> None:
        """Follow what the supervisor says: new rules, or that an application is being launched."""
        match order:
            case GuiRules():
                self._change_rules(order)
            case Launch(startup_id):
                self._startup_id = startup_id
            case Go():
                pass  # It went already.

    def _change_rules(self, rules: GuiRules) -> None:
        for packet in self.guard.change_rules(rules):
            self.client.process_packet(None, packet)
        for window in list(self.client._id_to_window.values()) if self.client else []:
            window.queue_draw_area(0, 0, *window.get_size())

    def new_window(self, window: Any) -> None:
        """Tie a window to the launch that it belongs to, as far as one can know: it is the first one after it."""
        if self._startup_id and not window.is_OR():
            window.set_startup_id(self._startup_id)
            self._startup_id = ""

    def paint_border(self, window: Any, context: Any) -> None:
        """Paint the border in the label's colour."""
        rules = self.guard.rules
        size = rules.border_width
        width, height = window.get_size()
        red, green, blue = (int(rules.colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        context.save()
        context.set_source_rgb(red, green, blue)
        for box in (
            (0, 0, width, size),
            (0, height - size, width, size),
            (0, 0, size, height),
            (width - size, 0, size, height),
        ):
            context.rectangle(*box)
        context.fill()
        context.restore()


def prepare(viewer: Viewer, number: int) -> None:
    """Let xpra's main make its client as we want it.

    It talks through the socket *number*, which is open already, since the sandbox has no path to one.
    """
    from xpra.net.bytestreams import SOCKET_TIMEOUT, SocketConnection
    from xpra.scripts import main

    make_client = main.make_client

    def connect_to(*_args: object, **_options: object) -> Any:
        # All is loaded by now, while the guest was still on its way.
        viewer.host.wait_for_go(viewer.on_order)
        connection = SocketConnection(socket.socket(fileno=number), "", "", "guest", "unix-domain")
        connection.timeout = SOCKET_TIMEOUT
        connection.target = "guest"
        return connection

    def make_guarded_client(*args: object) -> Any:
        # The client's parts depend on the options, and must not be loaded before xpra has read these.
        client = make_client(*args)
        hold_to_rules(viewer)
        mark_windows(viewer)
        follow_screen(viewer)
        viewer.host.watch(viewer.on_order)
        return client

    main.connect_to = connect_to
    main.make_client = make_guarded_client


def follow_screen(viewer: Viewer) -> None:
    """Keep the viewer's size of the smallest monitor true."""
    from gi.repository import Gdk

    def measure(*_args: object) -> None:
        display = Gdk.Display.get_default()
        boxes = [display.get_monitor(n).get_geometry() for n in range(display.get_n_monitors())]
        viewer.screen = min(((box.width, box.height) for box in boxes), key=lambda size: size[0] * size[1])

    measure()
    for signal in ("monitors-changed", "size-changed"):
        Gdk.Screen.get_default().connect(signal, measure)


def replace(owner: type, name: str, build: Callable[[Any], Callable[..., Any]]) -> None:
    """Put what *build* makes of a method in its place; raises AttributeError when xpra has none of that name.

    A rule that is hung on a method that nobody calls would hold nobody.
    """
    setattr(owner, name, build(getattr(owner, name)))


def hold_to_rules(viewer: Viewer) -> None:
    """Put the guard between xpra's client and its connection; what it refuses the client never sees."""
    from xpra.client.client_base import XpraClientBase
    from xpra.client.mixins.window_manager import WindowClient

    def process_packet(original: Any) -> Callable[..., None]:
        def process(self: Any, proto: Any, packet: Any) -> None:
            for admitted in viewer.guard.admit(packet):
                if admitted[0] == "startup-complete":
                    viewer.host.report(Connected())
                original(self, proto, admitted)

        return process

    def next_packet(original: Any) -> Callable[..., tuple[Any, ...]]:
        def act(self: Any) -> tuple[Any, ...]:
            packet, *rest = original(self)
            return (viewer.guard.send(packet) if packet else packet, *rest)

        return act

    def counted(original: Any) -> Callable[..., Any]:
        def act(self: Any, *args: Any) -> Any:
            viewer.client = self
            result = original(self, *args)
            viewer.host.report(Windows(len(self._id_to_window)))
            return result

        return act

    replace(XpraClientBase, "process_packet", process_packet)
    replace(XpraClientBase, "next_packet", next_packet)
    replace(WindowClient, "make_new_window", counted)
    replace(WindowClient, "_process_lost_window", counted)


def mark_windows(viewer: Viewer) -> None:
    """Give windows their border, and take away what users must not reach by accident."""
    from xpra.client.gtk_base.gtk_client_window_base import GTKClientWindowBase
    from xpra.client.keyboard_helper import KeyboardHelper

    def show(original: Any) -> Callable[..., None]:
        def act(self: Any) -> None:
            viewer.new_window(self)
            original(self)

        return act

    def mapped(original: Any) -> Callable[..., None]:
        def act(self: Any) -> None:
            original(self)
            viewer.host.report(Mapped(managed=not self.is_OR()))

        return act

    def move_by_hand(original: Any) -> Callable[..., None]:
        def act(self: Any, *args: Any) -> None:
            # Only while a button is held in the window: a guest must not take the pointer by itself.
            if any(self.button_state.values()):
                original(self, *args)

        return act

    def paint(_original: Any) -> Callable[..., None]:
        return lambda self, context, _area=None: viewer.paint_border(self, context)

    replace(GTKClientWindowBase, "show", show)
    replace(GTKClientWindowBase, "process_map_event", mapped)
    replace(GTKClientWindowBase, "initiate_moveresize", move_by_hand)
    replace(GTKClientWindowBase, "cairo_paint_border", paint)
    # Files that are dropped on a window stay where they are.
    replace(GTKClientWindowBase, "init_dragndrop", lambda _original: lambda _self: None)
    # Among xpra's own keys is one that takes the border away.
    replace(KeyboardHelper, "parse_shortcuts", lambda _original: lambda _self, _shortcuts: {})


def why_unusable() -> str:
    """Why xpra cannot be used here; empty when it can."""
    try:
        import xpra
    except ImportError:
        return "xpra is not installed on this machine: install the package xpra (3.x)"
    if not xpra.__version__.startswith(KNOWN_XPRA):
        return f"xpra {xpra.__version__} is installed, and only of 3.x it is known how to hold it to the rules"
    return ""


def main() -> int:
    """Show windows until the connection or the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    host = Host()
    viewer = Viewer(host.first_rules(), host)
    if reason := why_unusable():
        host.report(Unusable(reason))
        return EXIT_UNUSABLE
    os.environ.update(XPRA_ALPHA="0", GDK_BACKEND="x11", XPRA_SIGNAL_WATCHER="0")
    prepare(viewer, int(sys.argv[1]))
    from xpra.scripts.main import main as xpra_main

    return int(xpra_main("/usr/bin/xpra", ["xpra", "attach", "socket:///guest", *OPTIONS]) or 0)


if __name__ == "__main__":
    sys.exit(main())
