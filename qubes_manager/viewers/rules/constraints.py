"""Sizes that an application may demand of its window: none beyond the screens, none that leave it without use."""

from collections.abc import Callable

from qubes_manager.core.gui_rules import UNMANAGED_SHARE
from qubes_manager.viewers.protocol.packets import Box, SizeConstraints

Size = tuple[int, int]
# Pixels that a user can make any window wide and high.
_LEAST_MAXIMUM = 64
# Pixels by which a window grows at a time: the cells of a terminal on a sharp screen are smaller.
_MOST_INCREMENT = 128
_UNBOUNDED = 32767


def fit_constraints(given: SizeConstraints, screen: Box, border: int) -> SizeConstraints:
    """The constraints that hold on *screen*, the user's smallest, for windows with a frame of *border* pixels."""
    most = tuple(max(1, int(UNMANAGED_SHARE * side) - 2 * border) for side in (screen.width, screen.height))
    minimum = _each(given.minimum, lambda side, axis: max(0, min(side, most[axis])))
    least = minimum or (0, 0)
    return SizeConstraints(
        minimum,
        _each(given.maximum, lambda side, axis: max(side, least[axis], _LEAST_MAXIMUM) if side > 0 else _UNBOUNDED),
        _each(given.base, lambda side, axis: max(0, min(side, (minimum or most)[axis]))),
        _each(given.increment, lambda side, _axis: side if 0 < side <= _MOST_INCREMENT else 1),
    )


def _each(size: Size | None, bound: Callable[[int, int], int]) -> Size | None:
    return size and (bound(size[0], 0), bound(size[1], 1))
