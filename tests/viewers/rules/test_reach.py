"""How far a popup may be from its domain's windows."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.rules.reach import BESIDE, REACH, brought_near, is_near, strays

WINDOW = Box(1000, 1000, 300, 200)
SIDES, PLACES = st.integers(1, 400), st.integers(-400, 400)
BOXES = st.builds(Box, PLACES, PLACES, SIDES, SIDES)


def test_menus_open_out_of_menus() -> None:
    menus = {wid: Box(1280 + (99 + BESIDE) * wid, 1100, 100, 100) for wid in range(1, 6)}
    assert strays([WINDOW], menus) == set()
    del menus[3]
    assert strays([WINDOW], menus) == {4, 5}


def test_a_popup_of_nobody_may_be_anywhere() -> None:
    assert strays([], {1: Box(-5000, 0, 1, 1)}) == set()


def test_another_window_at_the_edge_of_the_reach_holds_one_and_a_pixel_more_does_not() -> None:
    at_edge = Box(1300 + REACH - 1, 1000, 10, 10)
    assert strays([WINDOW], {1: at_edge}) == set()
    assert strays([WINDOW], {1: Box(1300 + REACH, 1000, 10, 10)}) == {1}


@given(BOXES, BOXES)
def test_a_popup_is_brought_near(box: Box, window: Box) -> None:
    moved = brought_near(box, window)
    assert is_near(moved, window) and brought_near(moved, window) == moved
    assert (moved.width, moved.height) == (box.width, box.height)
    assert strays([window], {1: moved}) == set()
    assert is_near(box, window) == (moved == box)
