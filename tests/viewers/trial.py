"""A domain that lies beside one that does not, on a real desktop: what must hold whatever it says."""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter

from qubes_manager.backend.viewers.programs import WINDOWS
from qubes_manager.core.gui_rules import GuiRules
from tests.desktops.desktop import Box, Colour, Desktop
from tests.desktops.sway import SwayDesktop
from tests.desktops.x11 import X11Desktop
from tests.viewers import lies
from tests.viewers.liar import PlayedDomain
from tests.viewers.lies import LIE, gone

LIAR = GuiRules("work", "#3465a4", windows_count_limit=50)
OTHER = GuiRules("vault", "#cc0000")
TEAL, OLIVE = (0, 0x99, 0x88), (0x66, 0x77, 0)
HERE, THERE = Box(60, 60, 300, 200), Box(800, 500, 300, 200)
# Sway 1.7 dismisses the popups of a window when another one gets the keyboard, and takes what their client said until
# it heard of that for an error: lies are told where new windows do not get the keyboard.
CALM = 'no_focus [title=".*"]'
# What is seen of a window that was not drawn yet.
_BLANK = (255, 255, 255)


class Trial:
    """A domain that lies beside one that does not, on a desktop."""

    def __init__(self, liar: PlayedDomain, other: PlayedDomain) -> None:
        self.liar, self.other = liar, other
        self._desktop = liar.desktop
        self._ground = self._desktop.pixel(0, 0)

    def lie(self, seed: int, kind: int | None = None) -> None:
        """Tell lies of one of the kinds, or of several, and see that they have frames and go when they are gone."""
        tell = lies.mixed if kind is None else lies.LIES[kind]
        what = f"{tell.__name__} of seed {seed}"
        self.liar.server.say(tell(random.Random(seed)))
        self.liar.until_read(what)
        self._desktop.until(lambda: not self._bare(), f"{what} have frames")
        assert self.liar.memory() < WINDOWS.memory
        titles = self._desktop.titles()
        assert all(name.startswith(("[work]", "[vault]")) and name.isascii() for name in titles), (what, titles)
        self.liar.server.say([*map(gone, lies.WINDOWS), [b"cursor-default"]])
        self.liar.until_read(what)
        self._desktop.until(lambda: len(self._desktop.windows("[work]")) == 1, f"the windows of {what} go")

    def nobody_suffers(self, what: str) -> None:
        """See that the honest windows of both domains are in use, each in its frame."""
        self.liar.until_usable(what)
        self.other.until_usable(what)

    def _bare(self) -> Box | None:
        """Where lies touch what is no frame: the desktop's ground, or the picture of an honest window."""
        picture = self._desktop.picture()
        said = _mask(picture, LIE, _BLANK).filter(ImageFilter.MaxFilter(3))
        found = ImageChops.multiply(said, _mask(picture, self._ground, self.liar.colour, self.other.colour)).getbbox()
        return found and Box(found[0], found[1], found[2] - found[0], found[3] - found[1])


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="qm-liar-", dir="/var/tmp"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sway(folder: Path) -> Desktop:
    desktop = SwayDesktop(folder)
    desktop.command(CALM)
    return desktop


DESKTOPS: dict[str, tuple[Callable[[Path], Desktop], str]] = {
    "x11 3.1": (X11Desktop, "3.1"),
    "wayland 6.5": (sway, "6.5"),
}


@contextmanager
def a_trial(name: str) -> Iterator[Trial]:
    """A liar, another domain, and a desktop for both."""
    make, version = DESKTOPS[name]
    with folder() as path, closing(make(path)) as desktop, ExitStack() as stack:
        liar = stack.enter_context(closing(PlayedDomain(desktop, LIAR, version, TEAL, HERE)))
        other = stack.enter_context(closing(PlayedDomain(desktop, OTHER, version, OLIVE, THERE)))
        yield Trial(liar, other)


def _mask(picture: Image.Image, *colours: Colour) -> Image.Image:
    """Where a picture has one of the colours."""
    found = Image.new("L", picture.size)
    for colour in colours:
        bands = zip(picture.split(), colour, strict=True)
        red, green, blue = (band.point([255 * (n == value) for n in range(256)]) for band, value in bands)
        found = ImageChops.lighter(found, ImageChops.multiply(ImageChops.multiply(red, green), blue))
    return found
