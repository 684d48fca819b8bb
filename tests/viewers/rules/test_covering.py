"""What is seen of windows on screens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.rules.covering import ANYWHERE, AT_BOX, Screens, with_frame, without_frame

LARGE, SMALL = Box(0, 0, 200, 100), Box(200, 20, 60, 40)
SCREENS = Screens((LARGE, SMALL), True)
SIDES, PLACES = st.integers(1, 400), st.integers(-400, 400)
BOXES = st.builds(Box, PLACES, PLACES, SIDES, SIDES)


def covered(box: Box, screen: Box) -> int:
    """How many pixels of the screen are under the box."""
    columns = range(max(box.x, screen.x), min(box.x + box.width, screen.x + screen.width))
    rows = range(max(box.y, screen.y), min(box.y + box.height, screen.y + screen.height))
    return len(columns) * len(rows)


def test_a_frame_is_on_each_side() -> None:
    assert with_frame(Box(10, 20, 30, 40), 6) == Box(4, 14, 42, 52)
    assert without_frame(Box(4, 14, 42, 52), 6) == Box(10, 20, 30, 40)
    assert without_frame(Box(0, 0, 5, 5), 6) == Box(6, 6, 1, 1)


@pytest.mark.parametrize(
    ("box", "where", "is_large"),
    [
        (Box(0, 0, 200, 90), AT_BOX, False),
        (Box(0, 0, 200, 91), AT_BOX, True),
        (Box(10, 0, 200, 91), AT_BOX, False),
        (Box(199, 0, 61, 100), AT_BOX, True),
        (Box(0, 0, 60, 40), ANYWHERE, True),
        (Box(0, 0, 60, 40), 0, False),
        (Box(0, 0, 60, 40), 1, True),
        # A screen that is gone: it may be any.
        (Box(0, 0, 60, 40), 7, True),
    ],
    ids=str,
)
def test_most_of_a_screen_counts_where_the_window_may_be(box: Box, where: int, is_large: bool) -> None:
    assert SCREENS.is_large(box, where) is is_large


@pytest.mark.parametrize(
    ("box", "where", "seen"),
    [
        (Box(0, 0, 200, 100), AT_BOX, Box(0, 0, 200, 100)),
        (Box(-1, -1, 202, 102), AT_BOX, LARGE),
        (Box(-1, 0, 202, 102), AT_BOX, Box(-1, 0, 202, 102)),
        (Box(190, 10, 80, 60), AT_BOX, SMALL),
        # Of two, the smaller; the larger cannot be hidden then.
        (Box(-10, -10, 900, 900), AT_BOX, SMALL),
        (Box(5, 5, 61, 41), 1, Box(5, 5, 60, 40)),
        (Box(5, 5, 60, 41), 1, Box(5, 5, 60, 41)),
    ],
    ids=str,
)
def test_a_window_whose_frame_is_out_of_sight_becomes_as_small_as_the_screen(box: Box, where: int, seen: Box) -> None:
    assert SCREENS.with_its_frame_seen(box, where) == seen


@given(BOXES, st.lists(BOXES, max_size=3))
def test_a_window_is_cut_until_there_is_room_for_it(box: Box, others: list[Box]) -> None:
    cut = SCREENS.cut_to_room(box, AT_BOX, [(other, AT_BOX) for other in others])
    if cut:
        assert (cut.x, cut.y, cut.width) == (box.x, box.y, box.width) and cut.height <= box.height
    for screen in SCREENS.boxes:
        by_others, most = sum(covered(other, screen) for other in others), 0.9 * screen.width * screen.height
        # Where others have taken it all, nothing of it is there.
        assert not cut or covered(cut, screen) <= max(0, most - by_others)


@given(BOXES)
def test_a_window_can_be_reached_on_some_screen(box: Box) -> None:
    screens = Screens((Box(0, 0, 300, 300), Box(300, 100, 200, 200)), True)
    reachable = screens.reachable(box, 6)
    assert (reachable.width, reachable.height) == (box.width, box.height)
    assert screens.reachable(reachable, 6) == reachable
    assert any(
        screen.y <= reachable.y <= screen.y + screen.height - 64
        and screen.x <= reachable.x + box.width - 64
        and reachable.x <= screen.x + screen.width - 64
        for screen in screens.boxes
    )
