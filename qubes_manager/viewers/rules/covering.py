"""How much of the screens windows cover, and whether their frames can be seen.

A host's window is its guest's with the frame on each side; boxes here are those of the host's, in pixels of the host.
"""

from collections.abc import Iterable, Iterator, Sequence

from qubes_manager.core.gui_rules import UNMANAGED_SHARE
from qubes_manager.viewers.protocol.packets import Box

# Where a window lies, other than on the screen of a number: at its box, or it is not known yet.
AT_BOX, ANYWHERE = -1, -2
# Pixels of a window that stay on a screen wherever the guest puts it.
MIN_VISIBLE = 64


def with_frame(box: Box, border: int) -> Box:
    """The host's box for a guest's."""
    return Box(box.x - border, box.y - border, box.width + 2 * border, box.height + 2 * border)


def without_frame(box: Box, border: int) -> Box:
    """The guest's box for a host's; a pixel of it is always left."""
    return Box(box.x + border, box.y + border, max(1, box.width - 2 * border), max(1, box.height - 2 * border))


class Screens:
    """The screens of the user, at least one. With *places_known* windows are where their boxes say."""

    def __init__(self, boxes: Sequence[Box], places_known: bool) -> None:
        self.boxes = tuple(boxes)
        self.places_known = places_known
        self.smallest = min(self.boxes, key=_area)
        # Its number.
        self.largest = max(range(len(self.boxes)), key=lambda number: _area(self.boxes[number]))

    @property
    def most(self) -> tuple[int, int]:
        """Width and height that a guest may give a window, with its frame."""
        return max(box.width for box in self.boxes), max(box.height for box in self.boxes)

    def is_large(self, box: Box, where: int) -> bool:
        """Whether most of a screen is under a window."""
        return self.is_crowded([(box, where)])

    def is_crowded(self, boxes: Iterable[tuple[Box, int]]) -> bool:
        """Whether most of a screen is under these windows together."""
        return min(self._rooms(boxes)) < 0

    def with_its_frame_seen(self, box: Box, where: int) -> Box:
        """The box, or that of the smallest screen of which it covers all while its frame is out of sight."""
        screens = [self.boxes[number] for number, _seen in self._seen(box, where)]
        hidden = [screen for screen in screens if _is_within(screen, box, where)]
        if not hidden:
            return box
        screen = min(hidden, key=_area)
        return screen if where == AT_BOX else Box(box.x, box.y, screen.width, screen.height)

    def cut_to_room(self, box: Box, where: int, others: Iterable[tuple[Box, int]]) -> Box | None:
        """The box, as high as it may be beside the *others*; None when there is no room for any of it."""
        height, rooms = box.height, self._rooms(others)
        for number, seen in self._seen(box, where):
            if _area(seen):
                rows = max(0, rooms[number]) // seen.width
                above = max(0, self.boxes[number].y - box.y) if where == AT_BOX else 0
                height = min(height, above + rows) if rows < seen.height else height
        return Box(box.x, box.y, box.width, height) if height > 0 else None

    def reachable(self, box: Box, border: int) -> Box:
        """The box, moved to where enough of it, and its upper edge, are on a screen.

        Its left side is too where the picture, within the *border*, begins there: programs go to the corner.
        """
        places = [
            (
                _past_border(
                    _clamp(box.x, screen.x + MIN_VISIBLE - box.width, screen.x + screen.width - MIN_VISIBLE),
                    screen.x,
                    border,
                ),
                _clamp(box.y, screen.y, screen.y + screen.height - MIN_VISIBLE),
            )
            for screen in self.boxes
        ]
        x, y = min(places, key=lambda place: abs(place[0] - box.x) + abs(place[1] - box.y))
        return Box(x, y, box.width, box.height)

    def _rooms(self, boxes: Iterable[tuple[Box, int]]) -> list[int]:
        """Pixels of each screen that may still be covered; less than none where it is too many already."""
        rooms = [int(UNMANAGED_SHARE * _area(screen)) for screen in self.boxes]
        for box, where in boxes:
            for number, seen in self._seen(box, where):
                rooms[number] -= _area(seen)
        return rooms

    def _seen(self, box: Box, where: int) -> Iterator[tuple[int, Box]]:
        """The screens that a window may lie on, by their numbers, each with what is under the window there."""
        for number, screen in enumerate(self.boxes):
            if where == AT_BOX:
                yield number, _overlap(box, screen)
            elif where == number or not 0 <= where < len(self.boxes):
                yield number, Box(0, 0, min(box.width, screen.width), min(box.height, screen.height))


def _is_within(screen: Box, box: Box, where: int) -> bool:
    """Whether a window may stick out of a screen on all sides."""
    if where != AT_BOX:
        return box.width > screen.width and box.height > screen.height
    return (
        box.x < screen.x
        and box.y < screen.y
        and box.x + box.width > screen.x + screen.width
        and box.y + box.height > screen.y + screen.height
    )


def _overlap(one: Box, other: Box) -> Box:
    x, y = max(one.x, other.x), max(one.y, other.y)
    right = min(one.x + one.width, other.x + other.width)
    bottom = min(one.y + one.height, other.y + other.height)
    return Box(x, y, max(0, right - x), max(0, bottom - y))


def _area(box: Box) -> int:
    return box.width * box.height


def _past_border(place: int, edge: int, border: int) -> int:
    return edge if 0 < edge - place <= border else place


def _clamp(value: int, low: int, high: int) -> int:
    # Where low is above high, low wins: what is large may stick out below and to the right.
    return max(low, min(value, high))
