"""Compositors of Wayland that show themselves in a window of X11, which is all of a virtual screen: a picture of that
is what the user sees, and X's keyboard and mouse are theirs."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.desktops.x11 import X11Display
from tests.ending import end_program
from tests.waiting import PATIENCE

SIZE = (1280, 800)
# In a window of X11 mutter keeps the key that follows Super, as it must under X; on a screen of its own it does not
# (43.8, both tried). No key is special here.
MUTTER_SETTINGS = """
[org/gnome/mutter]
overlay-key=''
"""
# Weston, the reference, draws no title bars; nothing of its own moves or stands in the way.
WESTON_INI = """
[core]
idle-time=0
[shell]
panel-position=none
background-color=0xff303030
animation=none
startup-animation=none
close-animation=none
focus-animation=none
locking=false
"""


class NestedDisplay(X11Display):
    """One that runs *words*, with more in its *surroundings*, and listens as NAME in its folder."""

    NAME = "wayland-nested"

    def __init__(self, folder: Path, words: list[str], surroundings: Mapping[str, str]) -> None:
        super().__init__(folder, "{}x{}".format(*SIZE), manager=())
        self.screen.start_bus()
        runtime = Path(self.screen.environment["XDG_RUNTIME_DIR"])
        self.log = folder / "compositor.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                env={**os.environ, **self.screen.environment, "HOME": str(runtime), **surroundings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.environment = {
            **{name: value for name, value in self.screen.environment.items() if name != "DISPLAY"},
            "WAYLAND_DISPLAY": str(runtime / self.NAME),
            "XDG_SESSION_TYPE": "wayland",
            "QT_QPA_PLATFORM": "wayland",
        }
        end = time.monotonic() + PATIENCE
        while not (runtime / self.NAME).exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                raise RuntimeError(f"{words[0]} did not start: {self.log.read_text()[-1000:]}")
            time.sleep(0.02)
        self._align_pointer()

    def _align_pointer(self) -> None:
        """Have the compositor's pointer where X's is.

        Weston moves its own by as much as X's moves, and may have missed where that was at first: in a corner both are
        as far as they can be.
        """
        self.until(lambda: "{}x{}".format(*SIZE) in self.tool("xwininfo", "-root", "-children"), "its window is there")
        for corner in ((1, 1), (0, 0), (SIZE[0] - 1, SIZE[1] - 1)):
            self.point(*corner)

    def close(self) -> None:
        end_program(self._process)
        super().close()


def weston(folder: Path, scale: int = 1) -> NestedDisplay:
    """The reference compositor."""
    settings = folder / "weston.ini"
    settings.write_text(WESTON_INI)
    size = [f"--width={SIZE[0] // scale}", f"--height={SIZE[1] // scale}", f"--scale={scale}"]
    words = ["weston", "--backend=x11-backend.so", "--use-pixman", f"--socket={NestedDisplay.NAME}", *size]
    return NestedDisplay(folder, [*words, f"--config={settings}"], {})


def mutter(folder: Path) -> NestedDisplay:
    """What GNOME's shell is made of: it draws windows no title bar either."""
    settings = folder / "glib-2.0/settings/keyfile"
    settings.parent.mkdir(parents=True)
    settings.write_text(MUTTER_SETTINGS)
    words = ["mutter", "--wayland", "--nested", "--no-x11", "--wayland-display", NestedDisplay.NAME]
    surroundings = {
        "MUTTER_DEBUG_DUMMY_MODE_SPECS": "{}x{}".format(*SIZE),
        "GSETTINGS_BACKEND": "keyfile",
        "XDG_CONFIG_HOME": str(folder),
    }
    return NestedDisplay(folder, words, surroundings)
