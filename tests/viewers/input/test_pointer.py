"""What the guest is told of the pointer."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.input.pointer import Pointer
from qubes_manager.viewers.protocol.packets import ButtonAction, PointerPosition, ToGuest, WheelMotion


def pointer() -> tuple[Pointer, list[ToGuest]]:
    said: list[ToGuest] = []
    return Pointer(said.append), said


def test_each_place_is_told_once_with_what_is_held() -> None:
    mouse, said = pointer()
    mouse.move(3, 10, 20, ("shift",))
    mouse.move(3, 10, 20, ("shift",))
    mouse.press(3, 1, 10, 20, ())
    mouse.move(3, 500, -7, ())
    mouse.release(3, 1, 500, -7, ())
    assert said == [
        PointerPosition(3, 10, 20, ("shift",)),
        ButtonAction(3, 1, True, 10, 20, (), (1,)),
        PointerPosition(3, 500, -7, (), (1,)),
        ButtonAction(3, 1, False, 500, -7, (), ()),
    ]


def test_a_button_goes_up_once_and_only_after_it_went_down() -> None:
    mouse, said = pointer()
    mouse.release(3, 9, 0, 0, ())
    mouse.press(3, 9, 0, 0, ())
    mouse.release_all(3, 5, 6)
    mouse.release(3, 9, 0, 0, ())
    assert said == [ButtonAction(3, 9, True, 0, 0, (), (9,)), ButtonAction(3, 9, False, 5, 6, (), ())]


def test_a_button_that_went_up_unseen_goes_up_with_the_next_that_is_heard() -> None:
    mouse, said = pointer()
    mouse.press(3, 1, 0, 0, ())
    mouse.press(3, 3, 0, 0, ())
    mouse.keep_down(4, {3}, 7, 8, ())
    mouse.keep_down(4, {3}, 7, 8, ())
    assert said[2:] == [ButtonAction(4, 1, False, 7, 8, (), (3,))]


def test_a_finger_that_left_unseen_makes_room_for_the_next() -> None:
    mouse, said = pointer()
    mouse.touch(3, [(1, True, 10, 10)], (), begins=True)
    said.clear()
    mouse.touch(4, [(2, True, 50, 50)], (), begins=True)
    assert said == [
        ButtonAction(4, 1, False, 50, 50, (), ()),
        PointerPosition(4, 50, 50),
        ButtonAction(4, 1, True, 50, 50, (), (1,)),
    ]


def test_a_notch_of_the_wheel_is_a_thousand_parts() -> None:
    mouse, said = pointer()
    mouse.turn(3, 0, 120, 5, 6, ("control",))
    mouse.turn(3, -120, 0, 5, 6, ())
    assert said == [WheelMotion(3, 0, 1000, 5, 6, ("control",)), WheelMotion(3, -1000, 0, 5, 6, ())]


@given(st.lists(st.integers(-40, 40)))
def test_no_part_of_a_turn_is_lost_as_long_as_it_goes_on_in_one_direction(turns: list[int]) -> None:
    mouse, said = pointer()
    for turn in map(abs, turns):
        mouse.turn(3, 0, turn, 0, 0, ())
        mouse.turn(3, -turn, 0, 0, 0, ())
    down = sum(message.down for message in said if isinstance(message, WheelMotion))
    right = sum(message.right for message in said if isinstance(message, WheelMotion))
    assert down == sum(map(abs, turns)) * 1000 // 120 == -right


def test_the_first_finger_is_the_pointer_until_it_leaves() -> None:
    mouse, said = pointer()
    mouse.touch(3, [(1, True, 10, 10)], ())
    mouse.touch(3, [(1, True, 12, 10), (2, True, 90, 90)], ())
    mouse.touch(3, [(2, False, 90, 90), (1, False, 12, 11)], ())
    mouse.touch(3, [(5, True, 1, 1)], ())
    assert said == [
        PointerPosition(3, 10, 10),
        ButtonAction(3, 1, True, 10, 10, (), (1,)),
        PointerPosition(3, 12, 10, (), (1,)),
        ButtonAction(3, 1, False, 12, 11, (), ()),
        PointerPosition(3, 1, 1),
        ButtonAction(3, 1, True, 1, 1, (), (1,)),
    ]
