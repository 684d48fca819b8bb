"""What is said of a window: each field by itself, so that one that is odd costs no more than itself."""

from collections.abc import Callable
from typing import Any

from qubes_manager.viewers.protocol.fields import MAX_SIDE, Table, flag, items, number, table, text, wid
from qubes_manager.viewers.protocol.packets import Metadata, SizeConstraints
from qubes_manager.viewers.wire.rencode import Malformed, Value

# What the server is asked to tell of windows, in its own words: no command, no process, no name of the machine.
SUPPORTED = (
    "title",
    "icon-title",
    "class-instance",
    "role",
    "window-type",
    "size-hints",
    "size-constraints",
    "transient-for",
    "decorations",
    "maximized",
    "fullscreen",
    "iconic",
    "attention-requested",
    "set-initial-position",
    "override-redirect",
    "icons",
)
# https://specifications.freedesktop.org/wm-spec/latest/ar01s05.html#id-1.6.7
_WINDOW_TYPES = frozenset(
    {
        "NORMAL",
        "DIALOG",
        "UTILITY",
        "TOOLBAR",
        "SPLASH",
        "MENU",
        "DROPDOWN_MENU",
        "POPUP_MENU",
        "TOOLTIP",
        "NOTIFICATION",
        "COMBO",
        "DND",
        "DOCK",
        "DESKTOP",
    }
)
_MAX_TYPES = 20
_UNNAMED = 256


def _pair(value: Value) -> tuple[int, int] | None:
    if value is None:
        return None
    width, height = (min(max(number(side), 0), MAX_SIDE) for side in items(value))
    return width, height


def _constraints(value: Value) -> SizeConstraints:
    said = table(value)
    names = (b"minimum-size", b"maximum-size", b"base-size", b"increment")
    return SizeConstraints(*(_pair(said.get(name)) for name in names))


def _class_instance(value: Value) -> tuple[str, str]:
    instance, name = items(value)
    return text(instance, _UNNAMED), text(name, _UNNAMED)


def _window_types(value: Value) -> tuple[str, ...]:
    named = (text(item, 40).removeprefix("_NET_WM_WINDOW_TYPE_") for item in items(value)[:_MAX_TYPES])
    return tuple(name for name in named if name in _WINDOW_TYPES)


_FIELDS: dict[bytes, tuple[str, Callable[[Value], object]]] = {
    b"title": ("title", text),
    b"icon-title": ("icon_title", text),
    b"class-instance": ("class_instance", _class_instance),
    b"role": ("role", text),
    b"window-type": ("window_types", _window_types),
    b"size-constraints": ("constraints", _constraints),
    b"transient-for": ("transient_for", wid),
    b"decorations": ("decorations", flag),
    b"maximized": ("maximized", flag),
    b"fullscreen": ("fullscreen", flag),
    b"iconic": ("iconic", flag),
    b"attention-requested": ("attention", flag),
    b"set-initial-position": ("set_initial_position", flag),
}


def metadata(said: Table, on_dropped: Callable[[str], object]) -> Metadata:
    """What *said* says of a window; a field that is malformed is left out, and *on_dropped* hears its name."""
    found: dict[str, Any] = {}
    for key, (name, read) in _FIELDS.items():
        if key in said:
            try:
                found[name] = read(said[key])
            except (Malformed, ValueError):
                on_dropped(name)
    return Metadata(**found)


def is_override_redirect(said: Table) -> bool:
    """Whether a window places itself, as servers from 6 on say it."""
    return bool(said.get(b"override-redirect"))
