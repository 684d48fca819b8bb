"""What the guest is told of keys: the same key of the same layout, and nothing that stays down."""

from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.input.host_keys import HostAction, HostKeys
from qubes_manager.viewers.input.keyboard import Key, Keyboard
from qubes_manager.viewers.input.xkb import keysym_of, modifier_mask
from qubes_manager.viewers.protocol.packets import (
    Focus,
    KeyAction,
    KeyboardLayout,
    KeymapChanged,
    LayoutChanged,
    ToGuest,
)

RULES = GuiRules("work", "#3465a4")
LAYOUT = KeyboardLayout("us,de,ru")
Q, C, CTRL, SHIFT, CAPS = 24, 54, 37, 50, 66
CONTROL_L, SHIFT_L, ALTGR = 0xFFE3, 0xFFE1, 0xFE03
CONTROL_SHIFT = modifier_mask(["control", "shift"])


class Typist:
    """A keyboard with window 7 in front of it, and what the guest hears of it."""

    def __init__(self, layout: KeyboardLayout = LAYOUT) -> None:
        self.said: list[ToGuest] = []
        self.done: list[HostAction] = []
        self.keyboard = Keyboard(self.said.append, HostKeys(RULES), self.done.append, layout)
        self.keyboard.focus(7)
        self.said.clear()

    def press(self, keycode: int, meaning: str | int, *held: str, group: int | None = None) -> None:
        self.keyboard.press(7, self._key(keycode, meaning, held, group))

    def let_go(self, keycode: int, meaning: str | int, *held: str, group: int | None = None) -> None:
        self.keyboard.release(self._key(keycode, meaning, held, group))

    @staticmethod
    def _key(keycode: int, meaning: str | int, held: tuple[str, ...], group: int | None) -> Key:
        keysym = meaning if isinstance(meaning, int) else keysym_of(meaning)
        return Key(keycode, keysym, modifier_mask(held), group)

    @property
    def keys(self) -> list[KeyAction]:
        return [message for message in self.said if isinstance(message, KeyAction)]

    @property
    def strokes(self) -> list[str]:
        return [f"{'+' if key.pressed else '-'}{key.keyname}" for key in self.keys]


def test_a_key_goes_as_the_same_key_of_the_same_layout() -> None:
    typist = Typist()
    typist.press(Q, "q", group=1)
    typist.let_go(Q, "q", group=1)
    typist.press(Q, "й", group=2)
    assert typist.keys == [
        KeyAction(7, "q", True, (), 0x71, "", Q, 1),
        KeyAction(7, "q", False, (), 0x71, "", Q, 1),
        KeyAction(7, "Cyrillic_shorti", True, (), keysym_of("й"), "", Q, 2),
    ]


def test_where_the_layout_is_not_told_the_key_s_meaning_tells_it() -> None:
    typist = Typist()
    for meaning in "qйq":
        typist.press(Q, meaning)
        typist.let_go(Q, meaning)
    assert [key.group for key in typist.keys if key.pressed] == [0, 2, 0]


def test_a_key_goes_up_as_the_one_that_went_down() -> None:
    typist = Typist()
    typist.press(SHIFT, SHIFT_L)
    typist.press(Q, "Q", "shift")
    typist.let_go(SHIFT, SHIFT_L, "shift")
    typist.let_go(Q, "q")
    assert typist.strokes == ["+Shift_L", "+Q", "-Shift_L", "-Q"]


def test_a_key_that_went_down_elsewhere_does_not_go_up_here() -> None:
    typist = Typist()
    typist.let_go(Q, "q")
    assert typist.said == []


def test_keys_of_the_host_are_known_on_whichever_layout() -> None:
    typist = Typist()
    for group, meaning in ((0, "C"), (2, "С")):
        typist.press(C, meaning, "control", "shift", group=group)
        typist.let_go(C, meaning, "control", "shift", group=group)
    assert (typist.done, typist.said) == ([HostAction.COPY] * 2, [])


def test_a_key_that_switches_the_layout_stays_here() -> None:
    typist = Typist(KeyboardLayout("us,ru"))
    typist.press(SHIFT, 0xFE08, "mod1")
    typist.let_go(SHIFT, 0xFE08, "mod1")
    assert typist.said == []


def test_a_window_that_loses_the_keyboard_has_no_key_down() -> None:
    typist = Typist()
    typist.press(CTRL, CONTROL_L, "lock")
    typist.press(Q, "q", "control", "lock")
    typist.said.clear()
    typist.keyboard.focus(0)
    assert typist.strokes == ["-q", "-Control_L"]
    # Caps Lock holds without a key: it is as the host has it.
    assert {key.modifiers for key in typist.keys} == {("lock",)}
    assert typist.said[-1] == Focus(0, ("lock",))
    typist.said.clear()
    typist.let_go(Q, "q")
    assert typist.said == []


def test_another_layout_is_told_when_no_key_is_down() -> None:
    typist = Typist()
    typist.press(Q, "q", group=0)
    typist.keyboard.change_layout(KeyboardLayout("fr"))
    assert typist.strokes == ["+q", "-q"]
    assert typist.said[-1] == LayoutChanged(KeyboardLayout("fr"))
    typist.said.clear()
    typist.press(Q, "a")
    assert [(key.keyname, key.keycode) for key in typist.keys] == [("a", Q)]


def test_a_modifier_that_lies_elsewhere_on_the_host_is_one_of_the_guest_s() -> None:
    typist = Typist()
    typist.press(CAPS, CONTROL_L)
    typist.press(108, ALTGR)
    assert [(key.keyname, key.keycode) for key in typist.keys] == [("Control_L", 37), ("ISO_Level3_Shift", 92)]


def test_a_key_that_means_something_else_here_is_given_that_meaning_there() -> None:
    typist = Typist()
    typist.press(9, "你")
    typist.let_go(9, "你")
    changed, down, up = typist.said
    assert isinstance(changed, KeymapChanged) and isinstance(down, KeyAction) and isinstance(up, KeyAction)
    assert dict(changed.keys)[down.keycode] == ("U4F60", "U4F60")
    assert (down.keyname, up.keyname, down.keycode == up.keycode, up.pressed) == ("U4F60", "U4F60", True, False)
    # All other keys are as they were, and the guest has one layout now.
    assert dict(changed.keys)[Q][:2] == ("q", "Q")
    typist.said.clear()
    typist.press(Q, "q", group=0)
    assert typist.keys == [KeyAction(7, "q", True, (), 0x71, "", Q, 0)]


def test_the_text_of_an_input_method_is_typed_in_its_order() -> None:
    typist = Typist()
    typist.keyboard.type_text(7, "你好你\n")
    assert typist.strokes == ["+U4F60", "-U4F60", "+U597D", "-U597D", "+U4F60", "-U4F60", "+Return", "-Return"]
    assert len(typist.said) - len(typist.keys) == 1
    typist.said.clear()
    # These have their keys by now.
    typist.keyboard.type_text(7, "好")
    assert typist.said == typist.keys


def test_a_key_whose_end_an_input_method_keeps_goes_up() -> None:
    typist = Typist()
    typist.press(CTRL, CONTROL_L)
    typist.press(Q, "q", "control")
    typist.said.clear()
    typist.keyboard.type_text(7, "你")
    assert typist.strokes == ["-q", "+U4F60", "-U4F60"]


def test_after_a_text_the_layout_that_is_typed_in_is_the_guest_s_only_one() -> None:
    typist = Typist()
    typist.keyboard.type_text(7, "你")
    typist.said.clear()
    typist.press(Q, "й", group=2)
    changed, key = typist.said
    assert isinstance(changed, KeymapChanged)
    # The letters of shortcuts are in the second group.
    assert dict(changed.keys)[Q][:4] == ("Cyrillic_shorti", "Cyrillic_SHORTI", "q", "Q")
    assert isinstance(key, KeyAction) and (key.keycode, key.group) == (Q, 0)


def test_long_texts_find_room() -> None:
    typist = Typist()
    text = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 100))
    typist.keyboard.type_text(7, text)
    meanings: dict[int, tuple[str, ...]] = {}
    typed = ""
    for message in typist.said:
        match message:
            case KeymapChanged(keys=keys):
                meanings = dict(keys)
            case KeyAction(pressed=True, keycode=keycode):
                typed += chr(int(meanings[keycode][0][1:], 16))
    assert typed == text


STEPS = st.one_of(
    st.tuples(st.just("press"), st.sampled_from([(Q, 0x71), (C, 0x63), (CTRL, CONTROL_L), (SHIFT, SHIFT_L)])),
    st.tuples(st.just("let_go"), st.sampled_from([(Q, 0x71), (C, 0x63), (CTRL, CONTROL_L), (SHIFT, SHIFT_L)])),
    st.tuples(st.just("focus"), st.sampled_from([0, 7, 8])),
)


@given(st.lists(st.tuples(STEPS, st.sampled_from([0, 1, 4, CONTROL_SHIFT]))))
def test_whatever_is_typed_nothing_stays_down_in_a_window_without_the_keyboard(
    steps: list[tuple[tuple[str, tuple[int, int] | int], int]],
) -> None:
    typist = Typist()
    for (act, what), held in steps:
        if isinstance(what, int):
            typist.keyboard.focus(what)
        else:
            key = Key(what[0], what[1], held)
            wid = typist.keyboard.focused
            typist.keyboard.press(wid, key) if act == "press" else typist.keyboard.release(key)
    down: set[int] = set()
    for message in [*typist.said, *_all_gone(typist)]:
        match message:
            case KeyAction(pressed=True, keycode=keycode):
                assert keycode not in down
                down.add(keycode)
            case KeyAction(keycode=keycode):
                down.remove(keycode)
            case Focus():
                assert not down


def _all_gone(typist: Typist) -> list[ToGuest]:
    begun = len(typist.said)
    typist.keyboard.focus(0)
    return typist.said[begun:]


def test_the_guest_s_map_is_the_host_s_but_for_keys_that_nobody_types_with() -> None:
    typist = Typist(KeyboardLayout("de"))
    typist.keyboard.type_text(7, "é")
    [changed] = [message for message in typist.said if isinstance(message, KeymapChanged)]
    keys = dict(changed.keys)
    assert keys[Q] == ("q", "Q", "", "", "at", "Greek_OMEGA")
    assert keys[36] == ("Return",)
    assert (
        dict(changed.modifiers).items()
        >= {
            "Shift_L": "shift",
            "Caps_Lock": "lock",
            "Control_R": "control",
            "Alt_L": "mod1",
            "Num_Lock": "mod2",
            "Super_L": "mod4",
            "ISO_Level3_Shift": "mod5",
        }.items()
    )
