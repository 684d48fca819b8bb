"""What devices can do, and what a domain is never to get."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.devices.interfaces import (
    ANY_BLOCK,
    ANY_MICROPHONE,
    HID,
    KEYBOARD,
    KINDS,
    denied_by,
    fits,
    kind_of,
    parse_denied,
)
from qubes_manager.core.errors import BadInput

MIB = 1 << 20
digits = st.text("0123456789abcdef", min_size=6, max_size=6)
codes = st.builds(lambda bus, rest: bus + rest, st.sampled_from("ubpm"), digits)


@given(codes, st.sets(st.integers(0, 6)))
def test_a_star_in_a_pattern_stands_for_any_digit(code: str, places: set[int]) -> None:
    pattern = "".join("*" if at in places else letter for at, letter in enumerate(code))
    assert fits(pattern, code)


@given(codes, codes)
def test_a_pattern_without_stars_is_one_code(one: str, other: str) -> None:
    assert fits(one, other) is (one == other)


def test_what_is_not_known_of_a_device_fits_stars_alone() -> None:
    assert fits("u******", "u******")
    assert fits("u03****", "u03****")
    assert not fits("u03****", "u******")
    assert not fits("u030101", "u03****")
    for wrong in ("", "u03", "u03*****", "x" * MIB):
        assert not fits("u03****", wrong)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (("u030101",), "keyboard"),
        (("u030102",), "mouse"),
        (("u030000",), "input device"),
        # What types is called so, whatever else it is, but for a hub.
        (("u080650", "u030101"), "keyboard"),
        (("u0e0100", "u010100"), "camera"),
        (("u090001", "u030101"), "USB hub"),
        (("u080650",), "USB drive"),
        (("ue00101",), "Bluetooth adapter"),
        (("uffffff",), "USB device"),
        (("u******",), "USB device"),
        (("p010802",), "NVMe controller"),
        (("p010700",), "storage controller"),
        (("p0c0330",), "USB controller"),
        (("p******",), "PCI device"),
        ((ANY_BLOCK,), "block device"),
        ((ANY_MICROPHONE,), "microphone"),
        ((), "device"),
        (("nonsense", "", "x" * MIB), "device"),
    ],
)
def test_a_device_is_called_by_the_first_kind_that_it_is_of(known: tuple[str, ...], words: str) -> None:
    assert kind_of(known).words == words
    assert kind_of(iter(known)).icon.startswith("device-")


def test_no_kind_stands_behind_one_that_has_all_of_its_devices() -> None:
    for at, kind in enumerate(KINDS):
        before = KINDS[:at]
        assert not any(fits(other.pattern, kind.pattern) for other in before), kind


@given(st.lists(codes.filter(lambda code: code[0] in "up") | st.sampled_from((HID, KEYBOARD, "b******", "*******"))))
def test_what_is_denied_is_read_as_it_is_written(patterns: list[str]) -> None:
    once = tuple(dict.fromkeys(patterns))
    for text in (" ".join(patterns), ",".join(patterns), "".join(patterns), " , ".join(patterns).upper()):
        assert parse_denied(text) == once


def test_qubes_own_form_is_read() -> None:
    assert parse_denied("u03****u09****p0c03**") == ("u03****", "u09****", "p0c03**")
    assert parse_denied("") == parse_denied(" , ") == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("u03***", "'u03***'"),
        ("keyboard", "'keyboard'"),
        ("x03****", "'x03****'"),
        ("u03****g030101", "'g030101'"),
        ("u03****;", "'u03****;'"),
        ("\x1b[31m\x1b[31", "'\\x1b[31m\\x1b[31'"),
        ("u０3****", "'u０3****'"),
    ],
)
def test_what_is_no_pattern_is_refused_and_named(text: str, found: str) -> None:
    with pytest.raises(BadInput, match=re.escape(f"devices_denied: {found} cannot be used; write codes as u03****")):
        parse_denied(text)


def test_a_megabyte_is_refused_in_one_short_line_and_at_once() -> None:
    begin = time.process_time()
    for text in ("x" * MIB, "x" * (7 * MIB // 7), "u03****" * (MIB // 7) + "zzzzzzz"):
        with pytest.raises(BadInput) as caught:
            parse_denied(text)
        assert len(str(caught.value)) < 300
    assert time.process_time() - begin < 10


def test_the_pattern_that_denies_is_told() -> None:
    denied = parse_denied("p****** u03****")
    assert denied_by(denied, ("u080650", "u030101")) == "u03****"
    assert denied_by(denied, iter(("p020000",))) == "p******"
    # Each pattern is held against all codes, though they can be gone through once only.
    assert denied_by(denied, iter(("u080650", "u030000"))) == "u03****"
    assert denied_by(denied, ("b******",)) == ""
    assert denied_by((), ("u030101",)) == ""
    assert denied_by(denied, ()) == ""


@given(st.lists(st.text(max_size=9)))
def test_no_codes_of_a_device_break_the_rule(known: list[str]) -> None:
    assert denied_by(("u03****",), known) == ("u03****" if any(fits("u03****", one) for one in known) else "")
