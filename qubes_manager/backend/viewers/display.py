"""The screen on which viewers show windows: which of the desktop's two ways, from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qubes_manager.core.errors import Refused

_LOCAL_DISPLAY = re.compile(r"(?:unix)?:(\d+)(?:\.\d+)?")


class Platform(StrEnum):
    """How windows are shown, by Qt's names."""

    WAYLAND = "wayland"
    X11 = "xcb"


@dataclass(frozen=True, slots=True)
class Display:
    """A screen: how it is reached, and the path of its socket."""

    platform: Platform
    socket: str
    # Of X11 only: its name, and the file of its keys.
    name: str = ""
    authority: str = ""


def display_of(environment: Mapping[str, str]) -> Display:
    """Return the screen that an environment names: Wayland where there is one, unless QT_QPA_PLATFORM says xcb.

    Raises Refused where there is none on this machine.
    """
    wayland = wayland_socket(environment)
    wanted = environment.get("QT_QPA_PLATFORM", "")
    if wayland and not (wanted.startswith(Platform.X11) and environment.get("DISPLAY")):
        return Display(Platform.WAYLAND, wayland)
    if not environment.get("DISPLAY"):
        raise Refused("there is no screen to show windows on: log in to a desktop")
    return x_display(environment)


def wayland_socket(environment: Mapping[str, str]) -> str:
    """The path of the compositor's socket, which WAYLAND_DISPLAY names as a path or below XDG_RUNTIME_DIR; or empty."""
    name = environment.get("WAYLAND_DISPLAY", "")
    folder = environment.get("XDG_RUNTIME_DIR", "")
    if not name or not (name.startswith("/") or folder):
        return ""
    path = Path(folder, name)
    return str(path) if path.is_socket() else ""


def x_display(environment: Mapping[str, str]) -> Display:
    """Return the X server that an environment names, for consoles too; raises Refused without one on this machine."""
    name = environment.get("DISPLAY", "")
    local = _LOCAL_DISPLAY.fullmatch(name)
    if local is None:
        raise Refused(
            f"the display {name!r} is not on this machine"
            if name
            else "a console needs an X display, and there is none: log in to a desktop with X or XWayland"
        )
    authority = environment.get("XAUTHORITY") or str(Path(environment.get("HOME") or "/") / ".Xauthority")
    return Display(Platform.X11, f"/tmp/.X11-unix/X{local[1]}", name, authority)  # noqa: S108 - X servers' own place
