"""A desktop of X11: Xvfb with a window manager."""

from collections.abc import Sequence
from pathlib import Path

from tests.desktops.desktop import Box, Desktop, Display
from tests.screen import OPENBOX, Screen

XFWM = ("xfwm4", "--compositor=off", "--sm-client-disable")
KWIN_X11 = ("kwin_x11", "--no-kactivities")


class X11Display(Display):
    """Xvfb, with what a *manager* of windows needs where there is one."""

    def __init__(self, folder: Path, size: str = "1280x800", manager: Sequence[str] = OPENBOX) -> None:
        self.folder = folder
        self.screen = Screen(folder, size, manager)
        self.environment = dict(self.screen.environment)

    def tool(self, *words: str) -> str:
        """Run a tool on this screen; returns what it prints."""
        return self.screen.run(*words)

    def grab(self, target: Path) -> None:
        self.screen.picture(target)

    def layout(self, name: str, options: str = "") -> None:
        # One that is empty takes those before away.
        self.tool("setxkbmap", name, "-option", "", "-option", options)

    def keys(self, *keys: str) -> None:
        self.tool("xdotool", "key", "--delay", "40", *keys)

    def type(self, text: str) -> None:
        self.tool("xdotool", "type", "--delay", "20", text)

    def hold(self, key: str) -> None:
        self.tool("xdotool", "keydown", key)

    def let_go(self, key: str) -> None:
        self.tool("xdotool", "keyup", key)

    def point(self, x: int, y: int) -> None:
        self.tool("xdotool", "mousemove", str(x), str(y))

    def press(self, button: int = 1) -> None:
        self.tool("xdotool", "mousedown", str(button))

    def release(self, button: int = 1) -> None:
        self.tool("xdotool", "mouseup", str(button))

    def close(self) -> None:
        self.screen.close()


class X11Desktop(X11Display, Desktop):
    """Windows are known by their X numbers, in decimals."""

    def named(self) -> dict[str, str]:
        lines = (line.split(None, 4) for line in self.tool("wmctrl", "-lp").splitlines())
        return {str(int(parts[0], 16)): parts[4] for parts in lines if len(parts) == 5}

    def box(self, window: str) -> Box:
        # xdotool counts the frame twice.
        lines = dict(line.split(": ", 1) for line in self.tool("xwininfo", "-id", window).splitlines() if ": " in line)
        values = {name.strip(): value.strip() for name, value in lines.items()}
        names = ("Absolute upper-left X", "Absolute upper-left Y", "Width", "Height")
        return Box(*(int(values[name]) for name in names))

    def is_fullscreen(self, window: str) -> bool:
        return "FULLSCREEN" in self.tool("xprop", "-id", window, "_NET_WM_STATE")

    def focused(self) -> str:
        return self.tool("xdotool", "getactivewindow").strip()

    def raise_window(self, window: str) -> None:
        self.tool("xdotool", "windowactivate", "--sync", window)

    def move(self, window: str, x: int, y: int) -> None:
        self.tool("xdotool", "windowmove", window, str(x), str(y))

    def resize(self, window: str, width: int, height: int) -> None:
        self.tool("xdotool", "windowsize", window, str(width), str(height))

    def close_window(self, window: str) -> None:
        self.tool("wmctrl", "-i", "-c", window)

    def set_fullscreen(self, window: str, wanted: bool) -> None:
        self.tool("wmctrl", "-i", "-r", window, "-b", f"{'add' if wanted else 'remove'},fullscreen")
