"""Sharp on screens of any scale: one pixel of the guest's is one of the screen's.

Between whole numbers that is so where the compositor tells such scales, which Debian 12's sway does not.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.desktops.sway import SwayDesktop
from tests.viewers.real.conftest import BLUE, BORDER, GuestWindow, Shown

FRAMED = (400 + 2 * BORDER, 300 + 2 * BORDER)
pytestmark = pytest.mark.timeout(120, func_only=True)


@pytest.fixture
def wayland(shown: Shown) -> Iterator[SwayDesktop]:
    """A desktop whose scale can be changed."""
    if not isinstance(shown.desktop, SwayDesktop):
        pytest.skip("on X11 screens have no scale")
    yield shown.desktop
    shown.guest.clear()
    shown.desktop.set_scale(1)


def test_windows_are_sharp(shown: Shown, wayland: SwayDesktop) -> None:
    wayland.set_scale(2)
    window = shown.open("scaled")
    wayland.wears(window.window, BLUE)
    wayland.click(*window.place(50, 200))
    window.until_said("press", 1, 50, 200)


def test_a_scale_that_changes_leaves_the_guest_its_size_and_each_pixel_sharp(
    shown: Shown, wayland: SwayDesktop
) -> None:
    before = shown.open("rescaled")
    wayland.move(before.window, 100, 50)
    wayland.set_scale(2)

    def now() -> GuestWindow:
        """The window, which is another one for a compositor that does not tell windows of their scale."""
        return replace(before, window=wayland.window("[work] rescaled"))

    def has_its_size() -> bool:
        try:
            box = wayland.box(now().window)
        except KeyError:
            # It has just gone, and comes again.
            return False
        return (box.width, box.height) == FRAMED

    wayland.until(has_its_size, "its size")
    wayland.move(now().window, 100, 60)
    now().until_drawn()
    wayland.wears(now().window, BLUE)


def test_a_window_that_comes_to_a_screen_of_another_scale_keeps_its_name(shown: Shown, wayland: SwayDesktop) -> None:
    windows = [shown.terminal(title, "exec cat", "-class", title) for title in ("first", "second")]
    names = [wayland.app_id(window) for window in windows]
    assert names[0] != names[1], names
    before = [wayland.box(window) for window in windows]
    wayland.set_scale(2)

    def have_their_size() -> bool:
        """Where the compositor does not tell windows of their scale (sway 1.7), they have come anew for that."""
        try:
            boxes = [wayland.box(wayland.window(f"[work] {title}")) for title in ("first", "second")]
        except KeyError:
            return False
        # A unit has two pixels.
        return all(
            abs(box.width - old.width) < 2 and abs(box.height - old.height) < 2
            for box, old in zip(boxes, before, strict=True)
        )

    wayland.until(have_their_size, "their size")
    again = [wayland.window(f"[work] {title}") for title in ("first", "second")]
    assert [wayland.app_id(window) for window in again] == names
