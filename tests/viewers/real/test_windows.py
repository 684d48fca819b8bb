"""Windows of a guest on a real desktop: their marks, places, menus and tips, and what becomes of them."""

from collections.abc import Callable

import pytest

from qubes_manager.core.viewer_messages import Windows
from tests.desktops.desktop import Box
from tests.viewers.real.conftest import BLUE, BORDER, GREEN, RULES, GuestWindow, Shown

MARK, HOVERED = (255, 0, 255), (0, 255, 255)
SCREEN = Box(0, 0, 1280, 800)
# So many pixels are whole units of Wayland's at 125 %, and so are places that end in 4 or 9, with the border: KWin 5.27
# moves nothing by parts of them.
STEP = 10
pytestmark = pytest.mark.timeout(120, func_only=True)


def test_a_window_wears_its_domains_colour_and_name_and_shows_what_the_guest_draws(shown: Shown) -> None:
    window = shown.terminal("letters", r"read line; printf '\033]0;other\007'; exec cat", "-bg", "#102030")
    shown.desktop.keys("Return")
    shown.desktop.until(lambda: "[work] other" in shown.desktop.titles(), "the title that the terminal gave itself")
    shown.desktop.wears(window, BLUE)
    inside = shown.desktop.box(window).within(BORDER + 1)
    assert (0x10, 0x20, 0x30) in shown.desktop.colours(inside.corners)
    assert BLUE not in shown.desktop.colours(inside.corners)


def test_the_label_changes_and_all_borders_with_it(shown: Shown) -> None:
    first, second = shown.terminal("first"), shown.terminal("second")
    shown.allow(colour="#73d216")
    for window in (first, second):
        shown.desktop.wears(window, GREEN)


def test_it_is_moved_and_resized_and_its_program_follows(shown: Shown) -> None:
    window = shown.open("moving")
    for width, height in ((520, 380), (300, 250)):
        shown.desktop.resize(window.window, width, height)
        shown.desktop.move(window.window, width, 100)
        window.until_said("size", width - 2 * BORDER, height - 2 * BORDER)
        shown.desktop.until(lambda width=width: shown.desktop.box(window.window).x == width, "it is there")  # type: ignore[misc]
        window.until_drawn()
        shown.desktop.wears(window.window, BLUE)


def test_it_is_closed_and_its_program_ends(shown: Shown) -> None:
    window = shown.open("closing")
    shown.desktop.close_window(window.window)
    shown.desktop.until(lambda: not shown.desktop.windows("[work]"), "it closes")
    shown.desktop.until(lambda: shown.viewer.heard(Windows)[-1:] == [Windows(0)], "nothing is left")


def test_the_guest_draws_on_after_a_move(shown: Shown) -> None:
    window = shown.open("drawing")
    shown.desktop.move(window.window, 300, 200)
    window.until_drawn()
    shown.desktop.click(*window.place(50, 200))
    window.until_said("press", 1, 50, 200)
    window.until_said("release", 1)


def test_a_menu_has_the_border_and_what_is_chosen_in_it_happens(shown: Shown) -> None:
    window = shown.open("menus")
    shown.desktop.click(*window.place(100, 150), 3)
    window.until_said("menu opens")
    shown.desktop.until(lambda: shown.desktop.extent(MARK), "the menu is seen")
    menu = shown.desktop.extent(MARK)
    assert menu
    x, y = window.place(100, 150)
    assert abs(menu.x - x) <= 2 * BORDER, menu
    assert abs(menu.y - y) <= 2 * BORDER, menu
    assert shown.desktop.is_framed(menu, BLUE, BORDER)
    shown.desktop.point(menu.x + menu.width // 2, menu.y + menu.height // 2)
    shown.desktop.until(lambda: shown.desktop.extent(HOVERED), "the entry under the pointer is lit")
    shown.desktop.press()
    shown.desktop.release()
    window.until_said("chosen", "two")
    window.until_said("menu closes")
    shown.desktop.until(lambda: not shown.desktop.extent(MARK), "the menu goes")


def test_a_menu_is_closed_by_a_click_beside_it(shown: Shown) -> None:
    window = shown.open("dismissing")
    shown.desktop.move(window.window, 200, 100)
    shown.desktop.click(*window.place(20, 150), 3)
    shown.desktop.until(lambda: shown.desktop.extent(MARK), "the menu is seen")
    shown.desktop.click(*window.place(350, 250))
    window.until_said("menu closes")
    shown.desktop.until(lambda: not shown.desktop.extent(MARK), "the menu goes")


def test_a_menu_near_the_edge_is_seen_whole(shown: Shown) -> None:
    window = shown.open("cornered")
    shown.desktop.click(*window.place(100, 150), 3)
    shown.desktop.until(lambda: shown.desktop.extent(MARK), "the menu is seen")
    whole = shown.desktop.extent(MARK)
    shown.desktop.keys("Escape")
    window.until_said("menu closes")
    assert whole
    box = shown.desktop.box(window.window)
    x, y = (side // STEP * STEP for side in (SCREEN.width - box.width, SCREEN.height - box.height))
    shown.desktop.move(window.window, x, y)
    shown.desktop.until(lambda: shown.desktop.box(window.window).x == x, "it is in the corner")
    window.until_drawn()
    shown.desktop.click(*window.place(380, 280), 3)

    def size() -> tuple[int, int] | None:
        found = shown.desktop.extent(MARK)
        return (found.width, found.height) if found else None

    shown.desktop.until(lambda: size() == (whole.width, whole.height), "it is as large as it was")


def test_a_tip_has_the_border_and_goes_with_the_pointer(shown: Shown) -> None:
    window = shown.open("tips")
    shown.desktop.point(*window.place(200, 20))
    shown.desktop.point(*window.place(202, 21))
    shown.desktop.until(lambda: shown.desktop.extent(MARK), "the tip is seen")
    tip = shown.desktop.extent(MARK)
    assert tip
    assert shown.desktop.is_framed(tip, BLUE, BORDER)
    shown.desktop.point(*window.place(200, 250))
    shown.desktop.until(lambda: not shown.desktop.extent(MARK), "the tip goes")


def test_a_program_lets_itself_be_dragged_and_resized_by_hand(shown: Shown) -> None:
    window = shown.open("dragged")
    before = shown.desktop.box(window.window)
    pull(shown, window, window.place(99, 59), (120, 70), lambda box: (box.x, box.y))
    moved = shown.desktop.box(window.window)
    assert (moved.width, moved.height) == (before.width, before.height)
    pull(shown, window, window.place(299, 99), (80, 50), lambda box: (box.width, box.height))
    resized = shown.desktop.box(window.window)
    assert (resized.x, resized.y) == (moved.x, moved.y)
    window.until_drawn()


def pull(
    shown: Shown,
    window: GuestWindow,
    start: tuple[int, int],
    way: tuple[int, int],
    of: Callable[[Box], tuple[int, int]],
) -> None:
    """Take the window at a place and pull, until its place or size goes with the pointer; then let go of it."""
    pressed = len(window.lines())
    shown.desktop.point(*start)
    shown.desktop.press()
    shown.desktop.until(lambda: any(line.startswith("press") for line in window.lines()[pressed:]), "it is pressed")
    x, y = start[0] + way[0], start[1] + way[1]

    def follows() -> bool:
        # It is not before the guest has said so that the desktop moves it, and it may be a step behind the pointer.
        seen = []
        for point in ((x - STEP, y - STEP), (x, y)):
            shown.desktop.point(*point)
            seen.append(of(shown.desktop.box(window.window)))
        return {abs(now - then) for now, then in zip(*seen, strict=True)} == {STEP}

    shown.desktop.until(follows, "it follows the pointer")
    shown.desktop.release()


def test_a_viewer_that_dies_comes_again_with_its_windows(shown: Shown) -> None:
    window = shown.open("survivor")
    shown.viewer.kill()
    shown.desktop.until(lambda: not shown.desktop.windows("[work]"), "its windows go")
    shown.start(RULES)
    again = shown.desktop.window("[work] survivor")
    shown.desktop.wears(again, BLUE)
    assert window.lines().count("shown") == 1
