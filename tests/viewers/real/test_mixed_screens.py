"""Two screens of different scales: a guest has one scale, that of the finer screen."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desktops.desktop import colours_of
from tests.desktops.sway import SECOND, SwayDesktop
from tests.native_guest import NativeGuest
from tests.viewers.real.conftest import BLUE, BORDER, GuestWindow, Shown

FRAMED = (400 + 2 * BORDER, 300 + 2 * BORDER)
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def two() -> Iterator[tuple[Shown, SwayDesktop]]:
    """A desktop of its own: the screen that is added cannot be taken away again."""
    folder = Path(tempfile.mkdtemp(prefix="qm-two-", dir="/var/tmp"))
    folder.chmod(0o755)
    desktop, guest = SwayDesktop(folder), NativeGuest(folder / "guest")
    shown = Shown(guest, desktop)
    shown.start()
    yield shown, desktop
    shown.close()
    guest.close()
    desktop.close()
    shutil.rmtree(folder, ignore_errors=True)


def test_on_screens_of_different_scales_a_window_has_one_size_and_is_sharp_on_the_finer_one(
    two: tuple[Shown, SwayDesktop],
) -> None:
    shown, wayland = two
    assert shown.guest.resolution() == "96"
    finer = wayland.add_output(2)
    wayland.until(lambda: shown.guest.resolution() == "192", "the guest has the finer screen's")
    window = shown.open("two screens")
    wayland.wears(window.window, BLUE)
    sizes = [line for line in window.lines() if line.startswith("size")]
    for x in (100, finer + 100):
        wayland.move(window.window, x, 100)
        box = wayland.box(window.window)
        assert (box.x, box.width, box.height) == (x, *FRAMED)
        wayland.until(lambda: is_seen(window), "all of it is seen there, in its frame")
        wayland.click(*window.place(50, 200))
        window.until_said("press", 1, 50, 200)
    window.until_drawn()
    # Another screen is none of its program's business.
    assert [line for line in window.lines() if line.startswith("size")] == sizes
    wayland.command("output", SECOND, "scale", 1)
    wayland.until(lambda: shown.guest.resolution() == "96", "the guest has that of both")


def is_seen(window: GuestWindow) -> bool:
    """Whether the window's last row and column are on the screen, within its frame."""
    box, picture = window.desktop.box(window.window), window.desktop.picture()
    corner = picture.crop((box.x + box.width - 2 * BORDER, box.y + box.height - 2 * BORDER, *box.corners[2:]))
    # A picture of both screens is stretched over the coarser one, which blends what meets.
    frame = corner.crop((BORDER + 2, BORDER + 2, 2 * BORDER - 2, 2 * BORDER - 2))
    return colours_of(frame) == {BLUE} and BLUE not in colours_of(corner.crop((0, 0, BORDER - 2, BORDER - 2)))
