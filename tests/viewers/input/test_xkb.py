"""Names of keys and maps of keyboards, by the library that every desktop has."""

import pytest

from qubes_manager.viewers.input.xkb import (
    Keymap,
    character_of,
    is_modifier,
    keysym_name,
    keysym_of,
    modifier_mask,
    modifier_names,
    switches_layout,
)
from qubes_manager.viewers.protocol.packets import KeyboardLayout

Q_KEY, SHIFT_KEY, CAPS_KEY, RIGHT_ALT = 24, 50, 66, 108
ALTGR = modifier_mask(["mod5"])


def keymap_of(layout: str, variant: str = "", options: str = "") -> Keymap:
    keymap = Keymap.of_layout(KeyboardLayout(layout, variant, options))
    assert keymap
    return keymap


@pytest.mark.parametrize(("layout", "letters"), [("us", "qa"), ("de", "qa"), ("fr", "aq"), ("ru", "йф"), ("jp", "qa")])
def test_a_layout_is_made_of_its_name(layout: str, letters: str) -> None:
    keymap = keymap_of(layout)
    assert [character_of(keymap.keysym(code, 0, 0)) for code in (Q_KEY, 38)] == list(letters)


def test_what_a_key_means_depends_on_layout_and_modifiers() -> None:
    keymap = keymap_of("us,de,ru")
    assert keymap.group_names == ("English (US)", "German", "Russian")
    assert keysym_name(keymap.keysym(Q_KEY, 1, ALTGR)) == "at"
    assert keysym_name(keymap.keysym(Q_KEY, 2, modifier_mask(["shift"]))) == "Cyrillic_SHORTI"
    assert [keysym_name(keysym) for keysym in keymap.plain(Q_KEY)] == ["q", "q", "Cyrillic_shorti"]


def test_a_layout_is_found_by_what_a_key_means_and_the_likely_one_is_kept() -> None:
    keymap = keymap_of("us,de,ru")
    assert keymap.group_with(Q_KEY, keysym_of("й"), 0, likely=0) == 2
    assert keymap.group_with(Q_KEY, keysym_of("q"), 0, likely=1) == 1
    assert keymap.group_with(Q_KEY, keysym_of("z"), 0, likely=1) is None


def test_keys_are_known_by_the_modifiers_that_they_set() -> None:
    keymap = keymap_of("us,de")
    for _ in range(2):
        found = [modifier_names(keymap.modifiers_of(code, 1)) for code in (SHIFT_KEY, CAPS_KEY, RIGHT_ALT, Q_KEY)]
        assert found == [("shift",), ("lock",), ("mod5",), ()]
    assert is_modifier(keymap.plain(RIGHT_ALT)[1]) and not is_modifier(keymap.plain(Q_KEY)[0])


def test_a_key_that_switches_layouts_is_known() -> None:
    keymap = keymap_of("us,ru", options="grp:alt_shift_toggle")
    assert switches_layout(keymap.keysym(SHIFT_KEY, 0, modifier_mask(["mod1"])))
    assert not switches_layout(keymap.keysym(SHIFT_KEY, 0, 0))


def test_a_layout_that_nobody_knows_is_none() -> None:
    assert Keymap.of_layout(KeyboardLayout("nowhere")) is None
    assert Keymap.of_text(b"not a map") is None


def test_characters_have_keysyms_and_back() -> None:
    assert [character_of(keysym_of(letter)) for letter in "aß你😀"] == list("aß你😀")
    assert keysym_name(keysym_of("你")) == "U4F60"
