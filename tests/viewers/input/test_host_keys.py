"""The keys that a guest never sees, and all others, which it sees go down and up."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.input.host_keys import HostAction, HostKeys

RULES = GuiRules("work", "#3465a4")
BOTH = ("control", "shift")
C, V, X, F11 = (54, "c"), (55, "v"), (53, "x"), (95, "F11")
KEYS = st.sampled_from([C, V, X])


class Keyboard:
    """A keyboard whose modifiers are as they are said to be, and what comes of its keys."""

    def __init__(self, rules: GuiRules = RULES) -> None:
        self.done: list[HostAction] = []
        self.seen: list[str] = []
        self.keys = HostKeys(rules)

    def press(self, key: tuple[int, str], *modifiers: str) -> None:
        kept, action = self.keys.press(key[0], [key[1]], modifiers)
        if action:
            self.done.append(action)
        if not kept:
            self.seen.append("+" + key[1])

    def let_go(self, key: tuple[int, str], *_modifiers: str) -> None:
        if not self.keys.release(key[0]):
            self.seen.append("-" + key[1])


def test_the_guest_sees_neither_side_of_a_key_that_is_the_host_s() -> None:
    keyboard = Keyboard()
    keyboard.press(C, *BOTH)
    keyboard.let_go(C)
    keyboard.press(V, *BOTH, "lock", "mod2")
    # Shift and Ctrl were let go before V.
    keyboard.let_go(V)
    keyboard.press(F11, "mod4")
    keyboard.let_go(F11)
    assert keyboard.seen == []
    assert keyboard.done == [HostAction.COPY, HostAction.PASTE, HostAction.FULL_SCREEN]


def test_a_key_that_is_held_acts_once_and_types_nothing_when_the_modifiers_go_first() -> None:
    keyboard = Keyboard()
    for modifiers in (BOTH, BOTH, ("control",), ()):
        keyboard.press(V, *modifiers)
    keyboard.let_go(V)
    assert (keyboard.done, keyboard.seen) == ([HostAction.PASTE], [])
    keyboard.press(V)
    keyboard.let_go(V)
    assert keyboard.seen == ["+v", "-v"]


def test_a_key_that_the_guest_saw_go_down_it_sees_go_up() -> None:
    keyboard = Keyboard()
    keyboard.press(C)
    keyboard.press(C, *BOTH)
    keyboard.let_go(C)
    assert (keyboard.done, keyboard.seen) == ([], ["+c", "+c", "-c"])


def test_the_guest_s_own_copy_and_paste_are_its_own() -> None:
    keyboard = Keyboard()
    for key in (C, V):
        keyboard.press(key, "control")
        keyboard.let_go(key)
    assert (keyboard.done, keyboard.seen) == ([], ["+c", "-c", "+v", "-v"])


def test_other_keys_can_be_chosen_at_any_time() -> None:
    keyboard = Keyboard(GuiRules("work", "#3465a4", copy_keys="Ctrl-Insert", paste_keys="Win-v"))
    keyboard.press((118, "Insert"), "control")
    keyboard.press(V, "mod4")
    keyboard.press(C, *BOTH)
    assert (keyboard.done, keyboard.seen) == ([HostAction.COPY, HostAction.PASTE], ["+c"])
    keyboard.keys.change_rules(GuiRules("work", "#3465a4", fullscreen_keys="Shift-F11"))
    keyboard.press(F11, "mod4")
    keyboard.let_go(F11)
    keyboard.press(F11, "shift")
    assert keyboard.done[2:] == [HostAction.FULL_SCREEN]
    assert keyboard.seen == ["+c", "+F11", "-F11"]


def test_what_was_let_go_elsewhere_is_held_no_more() -> None:
    keyboard = Keyboard()
    keyboard.press(V, *BOTH)
    keyboard.keys.forget()
    keyboard.press(V)
    keyboard.let_go(V)
    assert keyboard.seen == ["+v", "-v"]


def test_a_key_that_switches_layouts_is_the_host_s() -> None:
    keys = HostKeys(RULES)
    assert keys.press(50, ["Shift_L"], ["mod1"], switches_layout=True) == (True, HostAction.SWITCH_LAYOUT)
    assert keys.release(50)


@given(st.lists(st.tuples(st.sampled_from(["press", "let_go"]), KEYS, st.sampled_from([(), ("control",), BOTH]))))
def test_whatever_is_typed_the_guest_has_no_key_that_stays_down(
    steps: list[tuple[str, tuple[int, str], tuple[str, ...]]],
) -> None:
    keyboard = Keyboard()
    for act, key, modifiers in steps:
        getattr(keyboard, act)(key, *modifiers)
    for key in (C, V, X):
        keyboard.let_go(key)
    for _code, name in (C, V, X):
        heard = [sign[0] for sign in keyboard.seen if sign[1:] == name]
        assert not heard or heard[-1] == "-"
