"""What is typed and pointed at on real desktops, of X11 and of Wayland, as the guest would be told it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.desktops.desktop import Desktop
from tests.desktops.sway import SwayDesktop
from tests.desktops.x11 import X11Desktop
from tests.waiting import PATIENCE, wait_until

DESKTOPS: dict[str, Callable[[Path], Desktop]] = {"x11": X11Desktop, "wayland": SwayDesktop}


class Said:
    """What the window has said, up to now and since it was last asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def until(self, *lines: str) -> None:
        """Wait until it has said these, and no others, since the last time."""
        wait_until(lambda: self.all()[self._at :] == [*lines], lambda: f"{self.all()[self._at :]} and not {lines}")
        self._at += len(lines)

    def until_last(self, line: str) -> None:
        """Wait until this is the last that it has said."""
        wait_until(lambda: self.all()[-1] == line, lambda: f"{self.all()} without {line} at its end")

    def all(self) -> list[str]:
        """All that it has said."""
        return self._path.read_text().splitlines()


@pytest.fixture(params=DESKTOPS)
def desktop(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[Desktop]:
    desktop = DESKTOPS[request.param](shared_folder)
    yield desktop
    desktop.close()


@pytest.fixture
def said(desktop: Desktop) -> Iterator[Said]:
    path = desktop.folder / "said"
    with path.open("w") as output:
        command = [sys.executable, "-m", "tests.viewers.input.typing_window"]
        program = subprocess.Popen(command, env=desktop.environment, stdout=output)
    said = Said(path)
    desktop.raise_window(desktop.window("typing"))
    said.until("layout us", "ready")
    yield said
    program.terminate()
    program.wait(PATIENCE)


def strokes(*keys: str) -> list[str]:
    """Keys that went down and up."""
    return [sign + key for key in keys for sign in "+-"]


def test_what_is_typed_is_told_by_keys_and_layouts(desktop: Desktop, said: Said) -> None:
    desktop.type("a")
    said.until(*strokes("a 38 0"))
    for layout, text, keys in (
        ("de", "zß", ["z 29 0", "ssharp 20 0"]),
        ("ru", "пр", ["Cyrillic_pe 42 0", "Cyrillic_er 43 0"]),
        ("fr", "aé", ["a 24 0", "eacute 11 0"]),
        ("jp", "q:", ["q 24 0", "colon 48 0"]),
    ):
        desktop.layout(layout)
        desktop.type(text[0])
        said.until(f"layout {layout}", *strokes(keys[0]))
        desktop.type(text[1])
        said.until(*strokes(keys[1]))


def test_layouts_side_by_side_are_groups(desktop: Desktop, said: Said) -> None:
    desktop.layout("us,ru")
    if isinstance(desktop, X11Desktop):
        desktop.tool("setxkbmap", "us,ru", "-option", "grp:menu_toggle")
        # The key Menu, which is the host's then: the guest hears nothing of it.
        desktop.keys("135")
    desktop.until(lambda: _type_short_i(desktop) == "-Cyrillic_shorti 24 1", "the second layout is typed in")
    assert "layout us,ru" in said.all() and not any("Menu" in line or "ISO" in line for line in said.all())


def _type_short_i(desktop: Desktop) -> str:
    """Type a letter on the second layout; returns what was said last."""
    if isinstance(desktop, SwayDesktop):
        # There this is the key Q.
        desktop.hands.lock_group(1)
        desktop.keys("q")
    else:
        desktop.keys("Cyrillic_shorti")
    return (desktop.folder / "said").read_text().splitlines()[-1]


def test_the_host_s_keys_stay_here(desktop: Desktop, said: Said) -> None:
    desktop.keys("ctrl+shift+c")
    said.until("+Control_L 37 0", "+Shift_L 50 0", "host copy", "-Shift_L 50 0", "-Control_L 37 0")
    desktop.keys("super+F11")
    said.until("+Super_L 133 0", "full screen 7", "-Super_L 133 0")


def test_a_window_that_loses_the_keyboard_has_no_key_down(desktop: Desktop, said: Said) -> None:
    desktop.hold("w")
    said.until_last("+w 25 0")
    other = subprocess.Popen([sys.executable, "-c", OTHER], env=desktop.environment)
    try:
        desktop.raise_window(desktop.window("other"))
        said.until_last("left")
        # On a busy X server a key that repeats may go up and down.
        assert said.all()[-2] == "-w 25 0"
        desktop.let_go("w")
        desktop.raise_window(desktop.window("typing"))
        said.until_last("ready")
        assert said.all()[-2] == "left"
    finally:
        other.terminate()
        other.wait(PATIENCE)


OTHER = """
from PySide6.QtGui import QGuiApplication, QRasterWindow
application = QGuiApplication([])
window = QRasterWindow()
window.setTitle("other")
window.resize(100, 100)
window.show()
application.exec()
"""


def test_all_buttons_and_the_wheel_are_told(desktop: Desktop, said: Said) -> None:
    box = desktop.box(desktop.window("typing"))
    desktop.point(box.x + 50, box.y + 60)
    for button in (1, 2, 3, 8, 9):
        desktop.press(button)
        said.until(f"press {button}")
        desktop.release(button)
        said.until(f"release {button}")
    for button, turned in ((4, "0 -1000"), (5, "0 1000"), (6, "-1000 0"), (7, "1000 0")):
        desktop.press(button)
        desktop.release(button)
        said.until(f"wheel {turned}")
