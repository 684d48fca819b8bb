"""Which screen the user has."""

import os


def screen_name() -> str:
    """What names the screen that programs of this environment come to; empty without one.

    X's name of it, which most desktops of Wayland have too, or else Wayland's: so all programs of a desktop have the
    same, those that know X alone among them.
    """
    return os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY", "")
