#!/usr/bin/python3
"""Prints what applications there are, as JSON, for the host's menu.

GLib reads the .desktop files, and leaves out what is not to be shown (NoDisplay, Hidden, OnlyShowIn, TryExec). Icons go
out as plain pixels (RGBA, 48 by 48), so that the host need not decode a picture file that a guest made.
"""

import base64
import json
import sys
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import GdkPixbuf, Gio, Gtk  # noqa: E402

SIZE = 48
MOST = 1000
# The session's own tools are no applications of the user's.
OWN = "xpra"


def pixels(theme: Any, icon: Any) -> str:
    """The icon as base64 of its pixels; empty without one."""
    if icon is None:
        return ""
    try:
        found = theme.lookup_by_gicon(icon, SIZE, Gtk.IconLookupFlags.FORCE_SIZE)
        picture = found.load_icon() if found else None
    except Exception:  # GLib's errors, and whatever a broken picture does to a loader
        return ""
    if picture is None:
        return ""
    picture = picture.scale_simple(SIZE, SIZE, GdkPixbuf.InterpType.BILINEAR).add_alpha(False, 0, 0, 0)
    data, stride = picture.get_pixels(), picture.get_rowstride()
    rows = b"".join(data[y * stride : y * stride + 4 * SIZE] for y in range(SIZE))
    return base64.b64encode(rows).decode()


def main() -> None:
    theme = Gtk.IconTheme()
    theme.set_custom_theme("hicolor")
    apps = []
    there = [info for info in Gio.AppInfo.get_all() if not (info.get_id() or OWN).startswith(OWN)]
    shown = [info for info in there if info.should_show()]
    for info in shown[:MOST]:
        apps.append(
            {
                "id": info.get_id().removesuffix(".desktop"),
                "name": info.get_display_name(),
                "comment": info.get_description() or "",
                "categories": [c for c in (info.get_categories() or "").split(";") if c],
                "mime": list(info.get_supported_types()),
                "terminal": info.get_boolean("Terminal"),
                "icon": pixels(theme, info.get_icon()),
            }
        )
    json.dump({"apps": apps, "left_out": len(shown) - len(apps)}, sys.stdout)


if __name__ == "__main__":
    main()
