"""A real display server of guests, whose windows the viewer shows on X11 and on Wayland, without a guest."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from qubes_manager.backend.viewers.compositor import Way
from qubes_manager.core.gui_rules import GuiRules
from tests.desktops.desktop import Desktop
from tests.desktops.kwin import KwinDesktop
from tests.desktops.sway import SwayDesktop
from tests.desktops.x11 import KWIN_X11, XFWM, X11Desktop
from tests.native_guest import NativeGuest
from tests.native_viewer import NativeViewer

DESKTOPS: dict[str, Callable[[Path], Desktop]] = {
    "x11": X11Desktop,
    "wayland": SwayDesktop,
    "xfwm4": lambda folder: X11Desktop(folder, manager=XFWM),
    "kwin_x11": lambda folder: X11Desktop(folder, manager=KWIN_X11),
    "kwin_wayland": KwinDesktop,
}
# Those that are looked at where they are installed (KDE's are large), with one version of the guest's server: which one
# it is makes no difference to them.
OTHERS = ("xfwm4", "kwin_x11", "kwin_wayland")
VERSIONS = ["3.1", "6.5"]
BLUE, RED, GREEN = (0x34, 0x65, 0xA4), (0xCC, 0, 0), (0x73, 0xD2, 0x16)
RULES = GuiRules("work", "#3465a4")
BORDER = RULES.border_width
PROGRAM = Path(__file__).with_name("guest_window.py")


@dataclass
class Shown:
    """A guest, the desktop on which its windows are shown, and the viewer that does so."""

    guest: NativeGuest
    desktop: Desktop
    _viewers: list[NativeViewer] = field(default_factory=list)

    @property
    def viewer(self) -> NativeViewer:
        """The viewer that was started last."""
        return self._viewers[-1]

    def start(self, rules: GuiRules = RULES, readers: Way | None = None) -> NativeViewer:
        """Start another viewer, as the gui service does."""
        log = self.desktop.folder / "viewer.log"
        connection = self.guest.connect()
        viewer = NativeViewer(self.desktop, connection, rules, program="gui_program", log=log, readers=readers)
        self._viewers.append(viewer)
        viewer.until_connected()
        return viewer

    def allow(self, **changes: object) -> None:
        """Change the rules."""
        self.viewer.change_rules(replace(self.viewer.rules, **changes))  # type: ignore[arg-type]

    def open(self, title: str) -> "GuestWindow":
        """Open the window of guest_window.py."""
        said = self.guest.folder / f"{title}.said"
        said.unlink(missing_ok=True)
        self.guest.start("/usr/bin/python3", shutil.copy(PROGRAM, self.guest.folder), title, said)
        window = self.desktop.window(f"[work] {title}")
        self.desktop.raise_window(window)
        found = GuestWindow(self.desktop, window, said)
        found.until_drawn()
        return found

    def terminal(self, title: str, command: str = "exec cat", *options: str) -> str:
        """Open a terminal; returns its window, which has the keyboard."""
        self.guest.terminal(title, command, *options)
        window = self.desktop.window(f"[work] {title}")
        self.desktop.raise_window(window)
        self.desktop.until(lambda: self.desktop.focused() == window, "it has the keyboard")
        return window

    def close(self) -> None:
        """End the viewers."""
        while self._viewers:
            self._viewers.pop().close()


@dataclass(frozen=True)
class GuestWindow:
    """A window of guest_window.py: *window* is the desktop's number of it, *said* what it writes."""

    desktop: Desktop
    window: str
    said: Path

    def until_said(self, *words: object) -> None:
        """Wait until it has written a line."""
        line = " ".join(map(str, words))
        self.desktop.until(lambda: line in self.lines(), f"it says {line!r}: {self.lines()}")

    def lines(self) -> list[str]:
        """What it has written."""
        return self.said.read_text().splitlines()

    def until_drawn(self) -> None:
        """Wait until all that it draws is seen."""
        self.desktop.until(lambda: self.columns_are_sharp(), "each of its pixels is one of the screen's")

    def columns_are_sharp(self) -> bool:
        """Whether columns that are one pixel wide in the guest are that on the screen."""
        inside = self.desktop.box(self.window).within(BORDER)
        picture = self.desktop.picture().crop(inside.corners)
        row = [picture.getpixel((x, picture.height - 20)) for x in range(min(picture.width, 200))]
        return row == [(255, 255, 255) if x % 2 == 0 else (0, 0, 0) for x in range(len(row))]

    def place(self, x: int, y: int) -> tuple[int, int]:
        """Where a point of the guest's window is on the screen."""
        inside = self.desktop.box(self.window).within(BORDER)
        return inside.x + x, inside.y + y


@pytest.fixture(scope="package", params=VERSIONS)
def guest(request: pytest.FixtureRequest) -> Iterator[NativeGuest]:
    """A server with its display."""
    folder = Path(tempfile.mkdtemp(prefix="qm-real-", dir="/var/tmp"))
    guest = NativeGuest(folder / "guest", request.param)
    yield guest
    guest.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package", params=DESKTOPS)
def desktop(request: pytest.FixtureRequest, guest: NativeGuest) -> Iterator[Desktop]:
    """A desktop of its own."""
    if request.param in OTHERS and not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    if request.param in OTHERS and guest.version != VERSIONS[0]:
        pytest.skip("it is tried with one version of the guest's server")
    folder = Path(tempfile.mkdtemp(prefix="qm-real-", dir="/var/tmp"))
    folder.chmod(0o755)
    desktop = DESKTOPS[request.param](folder)
    yield desktop
    desktop.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def running(guest: NativeGuest, desktop: Desktop) -> Iterator[Shown]:
    """The viewer that tests share."""
    shown = Shown(guest, desktop)
    shown.start()
    yield shown
    shown.close()


@pytest.fixture
def shown(running: Shown) -> Iterator[Shown]:
    """No windows yet, and the rules as they are by default."""
    running.viewer.change_rules(RULES)
    running.viewer.events.clear()
    yield running
    running.guest.clear()
    running.desktop.until(lambda: not running.desktop.windows("[work]"), "its windows go")
