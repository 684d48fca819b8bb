"""The menu of a window's frame: it is ours, and what the user does in it never reaches the guest."""

from collections.abc import Iterator

import pytest

from qubes_manager.core.viewer_messages import Wish, Wished
from tests.desktops.x11 import X11Desktop
from tests.viewers.real.conftest import BLUE, BORDER, GuestWindow, Shown

MARK = (255, 0, 255)

pytestmark = pytest.mark.timeout(120, func_only=True)


def open_menu(shown: Shown, window: GuestWindow) -> None:
    """Open a window's menu by its frame."""
    box = shown.desktop.box(window.window)
    inside = box.within(20).corners
    before = shown.desktop.colours(inside)
    shown.desktop.click(box.x + box.width // 2, box.y + 2, button=3)
    shown.desktop.until(lambda: shown.desktop.colours(inside) != before, "a menu")


def heard(window: GuestWindow) -> list[str]:
    """What the guest heard of keys and buttons."""
    return [line for line in window.lines() if line.startswith(("down", "up", "press"))]


def test_a_domain_is_killed_by_two_choices(shown: Shown) -> None:
    window = shown.open("killed")
    open_menu(shown, window)
    shown.desktop.keys("k", "Return")
    shown.desktop.until(lambda: shown.viewer.heard(Wished), "the wish is told")
    assert shown.viewer.heard(Wished) == [Wished(Wish.KILL)]
    assert not heard(window)


def test_escape_and_a_click_beside_it_close_it_and_the_guest_has_the_keyboard_again(shown: Shown) -> None:
    window = shown.open("left")
    open_menu(shown, window)
    shown.desktop.keys("Down", "Escape")
    window.until_drawn()
    open_menu(shown, window)
    box = shown.desktop.box(window.window)
    shown.desktop.click(*window.place(30, box.height - 50))
    window.until_drawn()
    assert not heard(window)
    shown.desktop.raise_window(window.window)
    shown.desktop.keys("x")
    window.until_said("down", "x")
    assert not shown.viewer.heard(Wished)


def test_it_goes_with_its_window(shown: Shown) -> None:
    window = shown.open("gone")
    open_menu(shown, window)
    shown.guest.clear()
    shown.desktop.until(lambda: not shown.desktop.windows("[work]"), "the window goes")
    other = shown.open("other")
    shown.desktop.keys("x")
    other.until_said("down", "x")
    open_menu(shown, other)
    shown.desktop.keys("Escape")
    other.until_drawn()


@pytest.fixture
def halves(shown: Shown) -> Iterator[X11Desktop]:
    """A screen that is two, side by side."""
    if not isinstance(shown.desktop, X11Desktop):
        pytest.skip("nobody but the compositor places windows")
    for name, output, x in (("left", "screen", 0), ("right", "none", 640)):
        shown.desktop.tool("xrandr", "--setmonitor", name, f"640/170x800/210+{x}+0", output)
    yield shown.desktop
    for name in ("left", "right"):
        shown.desktop.tool("xrandr", "--delmonitor", name)


def test_a_window_is_moved_to_another_screen(shown: Shown, halves: X11Desktop) -> None:
    window = shown.open("travels")
    halves.move(window.window, 100, 100)
    halves.until(lambda: halves.box(window.window).x == 100, "it is on the left one")
    window.until_drawn()
    open_menu(shown, window)
    halves.keys("v", "Return")
    halves.until(lambda: halves.box(window.window).x == 740, "it is on the right one")
    window.until_drawn()
    halves.wears(window.window, BLUE)


def test_a_menu_of_the_guest_s_has_one_too_by_which_it_is_taken_away(shown: Shown) -> None:
    if not isinstance(shown.desktop, X11Desktop):
        pytest.skip("on Wayland it goes below others' windows with its own")
    window = shown.open("staying")
    shown.desktop.click(*window.place(100, 150), 3)
    shown.desktop.until(lambda: shown.desktop.extent(MARK), "the guest's menu is seen")
    popup = shown.desktop.extent(MARK)
    assert popup
    before = heard(window)
    shown.desktop.click(popup.x + popup.width // 2, popup.y - BORDER // 2, button=3)
    corner = popup.x + popup.width - 5, popup.y + 5
    shown.desktop.until(lambda: shown.desktop.pixel(*corner) != MARK, "a menu of ours over it")
    shown.desktop.keys("c")
    shown.desktop.until(lambda: not shown.desktop.extent(MARK), "it is gone")
    assert heard(window) == before
