"""Which windows belong to which."""

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.rules.covering import ANYWHERE
from qubes_manager.viewers.rules.window import Window, find_parent, popups_of, screen_of


def family(*members: tuple[int, int, bool]) -> dict[int, Window]:
    """Windows by (wid, parent, managed)."""
    return {
        wid: Window(wid, Box(0, 0, 1, 1), managed, managed, wid if managed else ANYWHERE, parent=parent)
        for wid, parent, managed in members
    }


def test_a_managed_window_belongs_to_no_menu_but_to_whom_the_menu_belongs() -> None:
    windows = family((1, 0, True), (2, 1, False), (3, 2, False), (4, 0, False))
    assert find_parent(windows, 9, True, 3) == 1
    assert find_parent(windows, 9, False, 3) == 3
    assert find_parent(windows, 9, True, 4) == find_parent(windows, 9, True, 77) == 0


def test_no_window_belongs_to_itself_by_way_of_others() -> None:
    windows = family((1, 2, True), (2, 3, True), (3, 0, True))
    for wanted in (1, 2, 3):
        assert find_parent(windows, 3, True, wanted) == 0
    assert find_parent(windows, 1, True, 3) == 3


def test_no_window_is_deeper_than_it_takes_to_find_the_first() -> None:
    windows = family(*((wid, wid - 1, False) for wid in range(1, 501)))
    assert find_parent(windows, 501, False, 500) == 0
    assert find_parent(windows, 501, False, 16) == 16
    # Nor does one that has many below it go below others.
    windows = family(*((wid, wid - 1, True) for wid in range(1, 11)), *((wid, wid - 1, True) for wid in range(21, 31)))
    windows[21].parent = 0
    assert find_parent(windows, 21, True, 10) == 0
    assert find_parent(windows, 26, True, 10) == 10


def test_menus_are_found_with_their_own_menus_first() -> None:
    windows = family((1, 0, True), (2, 1, False), (3, 2, False), (4, 1, True), (5, 4, False))
    assert popups_of(windows, 1) == [3, 2]
    assert popups_of(windows, 5) == []


def test_a_menu_is_on_the_screen_of_its_window() -> None:
    windows = family((1, 0, True), (2, 1, False), (3, 2, False), (4, 0, False))
    assert screen_of(windows, windows[3]) == 1
    assert screen_of(windows, windows[4]) == ANYWHERE
    windows[3].where = 0
    assert screen_of(windows, windows[3]) == 0
