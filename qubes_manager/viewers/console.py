"""A domain's whole screen, or its serial console, in a window with the domain's border.

Usage: console.py screen|serial FD, the number of a socket that speaks VNC or carries the serial line. The rules come on
standard input, as for the application windows. GtkVnc and VTE do the protocols; neither reaches the host's clipboard.
"""

import socket
import sys
from typing import Any

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
gi.require_version("GtkVnc", "2.0")
gi.require_version("Vte", "2.91")
from gi.repository import Gdk, GLib, Gtk, GtkVnc, Vte  # noqa: E402

from qubes_manager.core.gui_rules import GuiRules  # noqa: E402
from qubes_manager.core.labels import readable_on  # noqa: E402
from qubes_manager.core.viewer_messages import Connected, Order  # noqa: E402
from qubes_manager.viewers.confined import few_threads  # noqa: E402
from qubes_manager.viewers.host import Host  # noqa: E402

HISTORY_LINES = 10_000
CHUNK = 64 << 10
CTRL_ALT = (Gdk.KEY_Control_L, Gdk.KEY_Alt_L)
KEYS = (
    ("Ctrl-Alt-Del", (*CTRL_ALT, Gdk.KEY_Delete)),
    ("Ctrl-Alt-Backspace", (*CTRL_ALT, Gdk.KEY_BackSpace)),
    *((f"Ctrl-Alt-F{n}", (*CTRL_ALT, getattr(Gdk, f"KEY_F{n}"))) for n in range(1, 13)),
    ("Print screen", (Gdk.KEY_Print,)),
)


class ScreenView:
    """The domain's screen over VNC."""

    title = "screen"

    def __init__(self, number: int, host: Host, ended: Any) -> None:
        self.widget = display = GtkVnc.Display()
        display.set_name("Screen of the domain")
        display.set_scaling(True)
        display.set_keyboard_grab(False)
        display.set_pointer_grab(False)
        display.set_pointer_local(True)
        display.set_lossy_encoding(False)
        display.connect("vnc-initialized", lambda _d: host.report(Connected()))
        display.connect("vnc-disconnected", lambda _d: ended())
        display.connect("vnc-error", lambda _d, text: print("VNC:", text))
        display.open_fd(number)

    def controls(self) -> list[Gtk.Widget]:
        """What stands above the screen."""
        keys = Gtk.MenuButton(label="Send keys")
        menu = Gtk.Menu()
        for name, values in KEYS:
            item = Gtk.MenuItem(label=name)
            item.connect("activate", lambda _i, values=values: self.widget.send_keys(list(values)))
            menu.append(item)
        menu.show_all()
        keys.set_popup(menu)
        view_only = Gtk.ToggleButton(label="View only")
        view_only.connect("toggled", lambda button: self.widget.set_read_only(button.get_active()))
        scale = Gtk.ToggleButton(label="Scale", active=True)
        scale.connect("toggled", lambda button: self.widget.set_scaling(button.get_active()))
        return [keys, view_only, scale]


class SerialView:
    """The domain's serial console in a terminal."""

    title = "serial console"

    def __init__(self, number: int, host: Host, ended: Any) -> None:
        self._socket = socket.socket(fileno=number)
        self._ended = ended
        self._view_only = False
        self.widget = terminal = Vte.Terminal()
        terminal.set_name("Serial console of the domain")
        terminal.set_scrollback_lines(HISTORY_LINES)
        terminal.set_scroll_on_output(False)
        terminal.set_scroll_on_keystroke(True)
        terminal.set_allow_hyperlink(False)
        terminal.set_audible_bell(False)
        terminal.set_size(100, 30)
        # Selecting would put a guest's text on the host's clipboard, and the middle button the host's into the guest.
        terminal.connect("button-press-event", lambda _t, _event: True)
        terminal.connect("commit", self._typed)
        GLib.io_add_watch(number, GLib.PRIORITY_LOW, GLib.IO_IN | GLib.IO_HUP, self._readable)
        host.report(Connected())

    def controls(self) -> list[Gtk.Widget]:
        """What stands above the terminal."""
        view_only = Gtk.ToggleButton(label="View only")
        view_only.connect("toggled", lambda button: setattr(self, "_view_only", button.get_active()))
        clear = Gtk.Button(label="Clear")
        clear.connect("clicked", lambda _b: self.widget.reset(True, True))
        return [view_only, clear]

    def _typed(self, _terminal: Any, text: str, _size: int) -> None:
        if not self._view_only:
            self._socket.sendall(text.encode())

    def _readable(self, _fd: int, _condition: Any) -> bool:
        data = self._socket.recv(CHUNK)
        if not data:
            self._ended()
            return False
        self.widget.feed(data)
        return True


class Console(Gtk.Window):  # type: ignore[misc]  # GTK has no types
    """The window: the domain's name and colour around what it shows."""

    def __init__(self, rules: GuiRules, kind: str, number: int, host: Host) -> None:
        super().__init__()
        self.rules = rules
        self._view = (ScreenView if kind == "screen" else SerialView)(number, host, self._ended)
        self.set_title(rules.title(self._view.title))
        self.set_default_size(1044, 860 if kind == "screen" else 640)
        self._style = Gtk.CssProvider()
        self._frame = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        self._frame.get_style_context().add_class("domain-frame")
        bar = Gtk.Box(spacing=6, margin=4)
        self._name = Gtk.Label(label=rules.domain)
        self._name.get_style_context().add_class("domain-name")
        bar.pack_start(self._name, False, False, 4)
        self._state = Gtk.Label(label="", xalign=0)
        bar.pack_start(self._state, True, True, 4)
        for control in self._view.controls():
            bar.pack_start(control, False, False, 0)
        self._full = Gtk.ToggleButton(label="Full screen")
        self._full.connect("toggled", lambda b: self.fullscreen() if b.get_active() else self.unfullscreen())
        self._full.set_no_show_all(True)
        bar.pack_start(self._full, False, False, 0)
        self._frame.pack_start(bar, False, False, 0)
        self._frame.pack_start(self._view.widget, True, True, 0)
        self.add(self._frame)
        self.connect("destroy", lambda _w: Gtk.main_quit())
        self.connect("window-state-event", self._state_changed)
        Gtk.StyleContext.add_provider_for_screen(
            Gdk.Screen.get_default(), self._style, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION
        )
        self._apply_rules(rules)
        self.show_all()
        self._view.widget.grab_focus()

    def on_order(self, order: Order) -> None:
        """Follow new rules; a console has nothing else to be told."""
        if isinstance(order, GuiRules):
            self._apply_rules(order)

    def _apply_rules(self, rules: GuiRules) -> None:
        """Wear the label's colour, and allow full screen or not."""
        self.rules = rules
        self._style.load_from_data(
            f"""
            .domain-frame {{ border: {rules.border_width}px solid {rules.colour}; }}
            .domain-name {{ background: {rules.colour}; color: {readable_on(rules.colour)};
                            padding: 2px 8px; border-radius: 4px; font-weight: bold; }}
            """.encode()
        )
        self._full.set_visible(rules.allow_fullscreen)
        if not rules.allow_fullscreen:
            self.unfullscreen()

    def _state_changed(self, _window: Any, event: Any) -> None:
        # However it came about: the rule holds for this window as for the guest's own.
        if event.new_window_state & Gdk.WindowState.FULLSCREEN and not self.rules.allow_fullscreen:
            self.unfullscreen()

    def _ended(self) -> None:
        self._state.set_text("The domain has ended, or its console was taken by another program.")
        self._view.widget.set_sensitive(False)


def main() -> None:
    """Show the console until its window or the input is closed."""
    few_threads()
    host = Host()
    console = Console(host.first_rules(), sys.argv[1], int(sys.argv[2]), host)
    host.watch(console.on_order)
    Gtk.main()


if __name__ == "__main__":
    main()
