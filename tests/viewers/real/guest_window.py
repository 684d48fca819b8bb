"""Runs inside a guest: a window that writes what happens to it to a file, and offers what windows have.

Usage: guest_window.py TITLE FILE. Its upper parts are, forty pixels each: one with a tip, one by which it is moved, one
by which it is resized. The right button opens a menu, which has one more inside on the part by which it is moved. Below
that it has columns of one pixel each. It has an icon, and a pointer of its own over the part by which it is resized.
"""

import sys
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, Gtk  # noqa: E402

SIZE = (400, 300)
PART = 40
STYLE = b"""
menu, tooltip, tooltip * { background: #ff00ff; color: #ff00ff; border: none; border-radius: 0; box-shadow: none; }
menuitem { min-width: 160px; min-height: 30px; color: #ff00ff; }
menuitem:hover { background: #00ffff; }
menu.inner, menu.inner menuitem { background: #ffff00; color: #ffff00; }
tooltip label { min-width: 120px; min-height: 40px; }
"""
title, file = sys.argv[1:3]
log = Path(file).open("a", buffering=1)  # noqa: SIM115


def say(*words: object) -> bool:
    """Write a line; what else hears of an event goes on hearing it."""
    log.write(" ".join(map(str, words)) + "\n")
    return False


def draw(area: Any, context: Any) -> None:
    """The parts in greens, then columns that are black and white in turn."""
    width, height = area.get_allocated_width(), area.get_allocated_height()
    context.set_source_rgb(0, 0, 0)
    context.paint()
    for part in range(3):
        context.set_source_rgb(0, (part + 1) / 5, 0)
        context.rectangle(0, part * PART, width, PART)
        context.fill()
    context.set_source_rgb(1, 1, 1)
    for column in range(0, width, 2):
        context.rectangle(column, 3 * PART, 1, height)
    context.fill()


def pressed(_area: Any, event: Any) -> bool:
    """Open the menu, or let the window manager move or resize."""
    say("press", event.button, round(event.x), round(event.y))
    part = int(event.y) // PART
    by_hand = (event.button, int(event.x_root), int(event.y_root), event.time)
    if event.button == 3:
        (deep if part == 1 else menu).popup_at_pointer(event)
    elif event.button == 1 and part == 1:
        window.begin_move_drag(*by_hand)
    elif event.button == 1 and part == 2:
        window.begin_resize_drag(Gdk.WindowEdge.SOUTH_EAST, *by_hand)
    return True


def key(_window: Any, event: Any) -> bool:
    """Write a key."""
    say("down" if event.type == Gdk.EventType.KEY_PRESS else "up", Gdk.keyval_name(event.keyval))
    return True


def tip(_area: Any, _x: int, y: int, _by_keys: bool, tooltip: Any) -> bool:
    """The upper part has one."""
    tooltip.set_text("a tip")
    return y < PART


def scrolled(_area: Any, event: Any) -> None:
    """Write a turn of the wheel."""
    say("scroll", event.direction.value_nick)


def one_colour(side: int, colour: int) -> Any:
    """A square picture of one colour (0xrrggbbaa)."""
    picture = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, True, 8, side, side)
    picture.fill(colour)
    return picture


def pointed(area: Any, event: Any) -> None:
    """Another pointer over one part."""
    own = Gdk.Cursor.new_from_pixbuf(area.get_display(), one_colour(24, 0xFF8000FF), 0, 0)
    area.get_window().set_cursor(own if int(event.y) // PART == 2 else None)


def menu_of(*names: str) -> Any:
    """A menu whose entries write what they are."""
    made = Gtk.Menu()
    for name in names:
        item = Gtk.MenuItem(label=name)
        item.connect("activate", lambda _item, name=name: say("chosen", name))
        made.append(item)
    made.show_all()
    return made


style = Gtk.CssProvider()
style.load_from_data(STYLE)
Gtk.StyleContext.add_provider_for_screen(Gdk.Screen.get_default(), style, Gtk.STYLE_PROVIDER_PRIORITY_USER)
window = Gtk.Window(title=title)
window.set_default_size(*SIZE)
area = Gtk.DrawingArea(has_tooltip=True)
area.add_events(Gdk.EventMask.ALL_EVENTS_MASK & ~Gdk.EventMask.SMOOTH_SCROLL_MASK)
menu, deep, inner = menu_of("one", "two", "three"), menu_of("more"), menu_of("inside")
inner.get_style_context().add_class("inner")
deep.get_children()[0].set_submenu(inner)
window.set_icon(one_colour(32, 0xFF0000FF))
menu.connect("map", lambda _menu: say("menu opens"))
menu.connect("unmap", lambda _menu: say("menu closes"))
for signal, act in {
    "draw": draw,
    "button-press-event": pressed,
    "button-release-event": lambda _area, event: say("release", event.button),
    "scroll-event": scrolled,
    "query-tooltip": tip,
    "motion-notify-event": pointed,
}.items():
    area.connect(signal, act)
for signal in ("key-press-event", "key-release-event"):
    window.connect(signal, key)
window.connect("configure-event", lambda _window, event: say("size", event.width, event.height))
window.connect("focus-in-event", lambda _window, _event: say("focus"))
window.connect("destroy", Gtk.main_quit)
window.add(area)
window.show_all()
say("shown")
Gtk.main()
