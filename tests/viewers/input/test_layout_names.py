"""Names of layouts, as X11 and Wayland tell them."""

import pytest

from qubes_manager.viewers.input.layout_names import layout_of_descriptions, layout_of_property
from qubes_manager.viewers.protocol.packets import KeyboardLayout


def test_x_tells_names_and_what_switches_them_stays_here() -> None:
    value = b"evdev\0pc105\0us,de,ru\0,nodeadkeys,\0grp:alt_shift_toggle,compose:rwin,grp_led:scroll,ctrl:nocaps\0"
    assert layout_of_property(value) == KeyboardLayout("us,de,ru", ",nodeadkeys,", "compose:rwin,ctrl:nocaps")


@pytest.mark.parametrize("value", [b"", b"evdev\0pc105\0", b"evdev\0pc105\0\0\0\0"])
def test_a_server_that_tells_none_has_none(value: bytes) -> None:
    assert layout_of_property(value) is None


def test_layouts_are_known_by_what_people_call_them() -> None:
    found = layout_of_descriptions(["English (US)", "German (no dead keys)", "Russian"])
    assert found == KeyboardLayout("us,de,ru", ",nodeadkeys")
    assert layout_of_descriptions(["Japanese"]) == KeyboardLayout("jp")
    assert layout_of_descriptions(["Russian", "One of my own", "German"]) == KeyboardLayout("ru")


def test_a_map_that_has_no_known_name_has_no_layout() -> None:
    assert layout_of_descriptions([""]) is None
    assert layout_of_descriptions([]) is None
