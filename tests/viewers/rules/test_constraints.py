"""Sizes that applications demand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.protocol.packets import Box, SizeConstraints
from qubes_manager.viewers.rules.constraints import fit_constraints

SCREEN = Box(0, 0, 1280, 800)
SIDES = st.integers(-(1 << 31), 1 << 31)
SIZES = st.none() | st.tuples(SIDES, SIDES)


@pytest.mark.parametrize(
    ("given_sizes", "fitted"),
    [
        (SizeConstraints(), SizeConstraints()),
        # A terminal's, whose cells are 6 by 13, stay as they are.
        (
            SizeConstraints(minimum=(25, 17), base=(19, 4), increment=(6, 13)),
            SizeConstraints(minimum=(25, 17), base=(19, 4), increment=(6, 13)),
        ),
        # So does a dialog of one size.
        (SizeConstraints((300, 200), (300, 200)), SizeConstraints((300, 200), (300, 200))),
        # None is larger than most of the screen with its frame.
        (SizeConstraints(minimum=(30000, 30000)), SizeConstraints(minimum=(1140, 708))),
        (SizeConstraints((30000, 1), (30000, 1)), SizeConstraints((1140, 1), (30000, 64))),
        # Nothing is too small to be used, nor grows by more than it has.
        (SizeConstraints(maximum=(1, 1)), SizeConstraints(maximum=(64, 64))),
        (SizeConstraints(maximum=(0, -1)), SizeConstraints(maximum=(32767, 32767))),
        (SizeConstraints(increment=(0, 10000)), SizeConstraints(increment=(1, 1))),
        (SizeConstraints(base=(-5, 30000)), SizeConstraints(base=(0, 708))),
    ],
    ids=str,
)
def test_size_hints_leave_a_window_of_use(given_sizes: SizeConstraints, fitted: SizeConstraints) -> None:
    assert fit_constraints(given_sizes, SCREEN, 6) == fitted


@given(st.builds(SizeConstraints, SIZES, SIZES, SIZES, SIZES), st.integers(0, 1000))
def test_no_hint_is_larger_than_the_screen_or_contradicts_another(sizes: SizeConstraints, border: int) -> None:
    fitted = fit_constraints(sizes, SCREEN, border)
    minimum, maximum = fitted.minimum or (0, 0), fitted.maximum or (32767, 32767)
    for axis, side in enumerate((SCREEN.width, SCREEN.height)):
        assert 0 <= minimum[axis] <= max(1, side - 2 * border)
        assert maximum[axis] >= max(64, minimum[axis])
        assert not fitted.base or 0 <= fitted.base[axis] <= max(1, side)
        assert not fitted.increment or 0 < fitted.increment[axis] <= 128
