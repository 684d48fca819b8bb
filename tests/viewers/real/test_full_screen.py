"""Full screen: only where it is allowed, and the user's to begin and to end; nothing covers the screen otherwise."""

import pytest

from qubes_manager.core.viewer_messages import Denied
from tests.desktops.desktop import Box
from tests.viewers.real.conftest import BLUE, Shown

SCREEN = Box(0, 0, 1280, 800)
pytestmark = pytest.mark.timeout(120, func_only=True)


def test_it_is_refused_to_a_guest(shown: Shown) -> None:
    shown.guest.be_hostile("fullscreen")
    window = shown.desktop.window("[work] hostile-fullscreen")
    shown.desktop.until(lambda: shown.viewer.heard(Denied), "it is said that it was refused")
    shown.desktop.wears(window, BLUE)
    assert not shown.desktop.is_fullscreen(window)
    assert shown.desktop.box(window).width < SCREEN.width


def test_it_is_had_where_it_is_allowed_until_that_ends(shown: Shown) -> None:
    shown.allow(allow_fullscreen=True)
    shown.guest.be_hostile("fullscreen")
    window = shown.desktop.window("[work] hostile-fullscreen")
    shown.desktop.until(lambda: shown.desktop.is_fullscreen(window), "full screen where it is allowed")
    shown.desktop.until(lambda: shown.desktop.box(window) == SCREEN, "it has all of the screen")
    shown.allow(allow_fullscreen=False)
    shown.desktop.until(lambda: not shown.desktop.is_fullscreen(window), "it ends at once")
    shown.desktop.wears(window, BLUE)


def test_the_users_keys_begin_and_end_it_where_it_is_allowed(shown: Shown) -> None:
    shown.allow(allow_fullscreen=True)
    window = shown.open("toggled")
    shown.desktop.keys("super+F11")
    shown.desktop.until(lambda: shown.desktop.is_fullscreen(window.window), "full screen")
    window.until_said("size", SCREEN.width, SCREEN.height)
    shown.desktop.keys("super+F11")
    shown.desktop.until(lambda: not shown.desktop.is_fullscreen(window.window), "no full screen any more")
    window.until_drawn()
    shown.desktop.wears(window.window, BLUE)
    assert "down F11" not in window.lines()


def test_a_window_manager_that_does_it_by_itself_leaves_the_frame(shown: Shown) -> None:
    window = shown.open("forced")
    shown.desktop.set_fullscreen(window.window, True)
    shown.desktop.until(
        lambda: shown.desktop.border(window.window) == {BLUE},
        "it has its frame, or is no longer as large as the screen",
    )


def test_an_unmanaged_window_does_not_cover_the_screen(shown: Shown) -> None:
    shown.guest.be_hostile("unmanaged")
    # It is a window with a frame now, which the user can move and close.
    window = shown.desktop.window("[work] hostile-unmanaged")
    shown.desktop.until(lambda: shown.viewer.heard(Denied), "it is said that it was refused")
    shown.desktop.close_window(window)


def test_a_window_off_the_screen_is_brought_back(shown: Shown) -> None:
    shown.guest.be_hostile("away")
    window = shown.desktop.window("[work] hostile-away")
    box = shown.desktop.box(window)
    # As much of it as one can take hold of.
    assert box.corners[2] >= 48, box
    assert box.y >= 0, box


def test_hostile_titles_are_tamed(shown: Shown) -> None:
    shown.guest.be_hostile("titles")
    # It is the last of them.
    shown.desktop.until(lambda: "[work] Gr__e" in shown.desktop.titles(), "four windows")
    titles = shown.desktop.titles()
    assert all(len(title) <= 220 and title.isascii() and title.isprintable() for title in titles)
    assert {"[work] red", "[work] desrever [vault]"} <= set(titles)


def test_windows_are_limited_in_number(shown: Shown) -> None:
    shown.allow(windows_count_limit=20)
    shown.guest.be_hostile("many", "100")
    shown.desktop.until(lambda: shown.viewer.heard(Denied), "it is said that there are too many")
    shown.desktop.until(lambda: len(shown.desktop.windows("[work]")) == 20, "as many as may be")
