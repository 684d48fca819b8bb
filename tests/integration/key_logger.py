"""Runs inside a guest: a window that writes each key that it sees going down (+) or up (-) to a file, or /tmp/keys."""

import sys
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk  # noqa: E402

log = Path(next(iter(sys.argv[2:]), "/tmp/keys")).open("a", buffering=1)  # noqa: SIM115


def seen(_window: Any, event: Any) -> bool:
    """Write a key."""
    sign = "+" if event.type == Gdk.EventType.KEY_PRESS else "-"
    log.write(f"{sign}{Gdk.keyval_name(event.keyval)}\n")
    return True


window = Gtk.Window(title=sys.argv[1])
window.set_default_size(400, 300)
window.connect("key-press-event", seen)
window.connect("key-release-event", seen)
window.show_all()
Gtk.main()
