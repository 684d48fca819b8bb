"""How far from its domain's windows a popup may be: its frame is all that tells it from a part of what lies below it.

A popup is within reach of a window that the desktop manages, or beside a popup that is: menus open out of menus, and
one that is left alone where others have led it is brought back. Boxes are those of the host's windows, in pixels.
"""

from collections.abc import Mapping, Sequence

from qubes_manager.viewers.protocol.packets import Box

# Pixels between a popup and a window of its domain, and between it and a popup that it may have come out of.
REACH, BESIDE = 128, 48


def strays(managed: Sequence[Box], popups: Mapping[int, Box]) -> set[int]:
    """The numbers of the *popups* that nothing holds; where no window is *managed* they may be anywhere."""
    left = dict(popups) if managed else {}
    holders = [_around(box, REACH) for box in managed]
    while holders and left:
        held = [wid for wid, box in left.items() if any(_touch(box, holder) for holder in holders)]
        holders = [_around(left.pop(wid), BESIDE) for wid in held]
    return set(left)


def is_near(box: Box, managed: Box) -> bool:
    """Whether a popup is within reach of one managed window."""
    return _touch(box, _around(managed, REACH))


def brought_near(box: Box, managed: Box) -> Box:
    """The box, moved to where a pixel of it is within reach of a window."""
    around = _around(managed, REACH)
    x = max(around.x - box.width + 1, min(box.x, around.x + around.width - 1))
    y = max(around.y - box.height + 1, min(box.y, around.y + around.height - 1))
    return Box(x, y, box.width, box.height)


def _around(box: Box, distance: int) -> Box:
    return Box(box.x - distance, box.y - distance, box.width + 2 * distance, box.height + 2 * distance)


def _touch(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )
