"""The words in which servers hear of keys and layouts."""

from qubes_manager.viewers.protocol.keyboard import Keyboard, described
from qubes_manager.viewers.protocol.packets import Focus, KeyAction, KeyboardLayout, KeymapChanged, LayoutChanged

LAYOUT = KeyboardLayout("us,ru", ",phonetic", "compose:rwin")
KEY = KeyAction(3, "Cyrillic_a", True, ("lock",), 0x6C1, "а", 41, 1)
SAID = ["key-action", 3, "Cyrillic_a", True, ("lock",), 0x6C1, "а", 41, 1]


def test_the_layout_goes_by_its_names_and_keys_repeat_in_the_guest() -> None:
    old, new = (described(LAYOUT, is_3_1=is_3_1) for is_3_1 in (True, False))
    assert (old["xkbmap_layout"], old["xkbmap_variant"], old["xkbmap_options"]) == (
        "us,ru",
        ",phonetic",
        "compose:rwin",
    )
    assert old["xkbmap_raw"] is True and old["xkbmap_layout_groups"] is True
    keymap = new["keymap"]
    assert isinstance(keymap, dict)
    assert (keymap["layout"], keymap["raw"], bool(keymap["keycodes"])) == ("us,ru", True, True)
    assert old["key_repeat"] == new["key_repeat"] == (0, 0)


def test_a_server_is_led_back_to_the_group_that_it_may_have_forgotten_with_the_focus() -> None:
    keyboard = Keyboard(is_3_1=True)
    again = ["key-action", 3, "", False, ("lock",), 0x6C1, "а", 8, 0]
    assert keyboard.packets(KEY) == [again, SAID]
    assert keyboard.packets(KEY) == [SAID]
    for message in (Focus(3), LayoutChanged(LAYOUT), KeymapChanged(LAYOUT, (), ())):
        keyboard.packets(message)
        assert keyboard.packets(KEY) == [again, SAID]


def test_a_map_of_our_own_is_told_whole() -> None:
    message = KeymapChanged(LAYOUT, ((9, ("Escape",)), (248, ("U4F60", "U4F60"))), (("Shift_L", "shift"),))
    [[kind, old]] = Keyboard(is_3_1=True).packets(message)
    [[_kind, new]] = Keyboard(is_3_1=False).packets(message)
    assert kind == "keymap-changed" and isinstance(old, dict) and isinstance(new, dict)
    keymap = new["keymap"]
    assert isinstance(keymap, dict)
    for said, raw in ((old, "xkbmap_raw"), (keymap, "raw")):
        assert said[raw] is False
        assert said[raw.replace("raw", "x11_keycodes")] == {9: ("Escape",), 248: ("U4F60", "U4F60")}
        assert said[raw.replace("raw", "mod_meanings")] == {"Shift_L": "shift"}
    # Without these words they would not take it.
    assert old["xkbmap_query"] and keymap["query_struct"]
