"""Turns of a wheel add up to whole notches."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.protocol.packets import ButtonAction, WheelMotion
from qubes_manager.viewers.protocol.wheel import NOTCH, Wheel


def _buttons(wheel: Wheel, *turns: tuple[int, int], wid: int = 1) -> list[int]:
    """The buttons that are clicked by turns to the right and down."""
    said = [action for right, down in turns for action in wheel.clicks(WheelMotion(wid, right, down, 5, 6, ("shift",)))]
    assert said[::2] == [ButtonAction(wid, action.button, True, 5, 6, ("shift",)) for action in said[1::2]]
    return [action.button for action in said if not action.pressed]


def test_a_notch_is_a_click_in_each_direction() -> None:
    wheel = Wheel()
    assert _buttons(wheel, (0, NOTCH), (0, -NOTCH), (NOTCH, 0), (-NOTCH, 0)) == [5, 4, 7, 6]


def test_parts_of_a_notch_wait_for_the_rest() -> None:
    wheel = Wheel()
    assert not _buttons(wheel, (0, 400), (0, 400))
    assert _buttons(wheel, (0, 400), (0, 800)) == [5, 5]


def test_what_is_left_is_forgotten_when_the_wheel_turns_back_or_over_another_window() -> None:
    wheel = Wheel()
    assert not _buttons(wheel, (0, 900), (0, -200), (0, -700))
    assert not _buttons(wheel, (0, -900), wid=2)


def test_nobody_turns_that_fast() -> None:
    assert len(_buttons(Wheel(), (0, 1_000_000))) == 10


@given(st.lists(st.integers(1, 300), max_size=100))
def test_no_turn_is_lost(turns: list[int]) -> None:
    assert len(_buttons(Wheel(), *((0, turn) for turn in turns))) == sum(turns) // NOTCH
