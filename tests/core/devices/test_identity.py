"""What devices are called, and what of a device's own words comes into that."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName, parse_device_name, safe_word
from qubes_manager.core.errors import BadInput

SAFE = frozenset(string.ascii_letters + string.digits + "._+-")
MIB = 1 << 20
# What escapes, reorders, ends a line, a word, a list or a path.
HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\u202etxt.exe",
    "\u2066left\u2069",
    "a\nb",
    "a b",
    "$(reboot)",
    "`id`;|&",
    "../../etc/passwd",
    "\0",
    "\ud800",
    "‟„“”",
    "ＡＢＣ",
    "٣٤",
    "*",
    "a:b,c=d",
)


@given(st.text())
def test_of_a_devices_words_only_safe_characters_come_into_its_ident(text: str) -> None:
    word = safe_word(text)
    assert set(word) <= SAFE
    assert len(word) <= 48
    assert safe_word(word) == word.rstrip("_")


@given(st.text(st.sampled_from(sorted(SAFE - {"_"})), max_size=48))
def test_a_word_that_is_safe_stays_as_it_is(text: str) -> None:
    assert safe_word(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_made_safe(text: str) -> None:
    assert set(safe_word(text)) <= SAFE
    assert not safe_word(text).startswith("_")


def test_a_word_is_as_long_as_it_may_be_and_no_longer() -> None:
    assert safe_word("x" * MIB) == "x" * 48
    assert safe_word("x" * MIB, 5) == "x" * 5
    assert safe_word("\u202e" * MIB) == ""
    assert safe_word("Ultra  3.0") == "Ultra_3.0"
    assert safe_word("///") == ""


parts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60)
ports = parts.filter(lambda text: ":" not in text and not text.startswith("/"))


@given(ports, st.just("") | parts)
def test_a_name_is_read_as_it_is_written(port: str, ident: str) -> None:
    if port == ident == ANY:
        return
    name = DeviceName(port, ident)
    assert parse_device_name(name.text) == name


@given(parts)
def test_a_path_is_one_with_all_its_colons(text: str) -> None:
    for written in (f"/{text}", f"dom0:/{text}"):
        assert parse_device_name(written) == DeviceName(f"/{text}")
    assert parse_device_name(f"/{text}").is_path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sda", DeviceName("sda")),
        ("dom0:sda", DeviceName("sda")),
        ("dom0:sda:", DeviceName("sda")),
        ("dom0:2-1.4:0781:5581:4C53:u080650", DeviceName("2-1.4", "0781:5581:4C53:u080650")),
        ("dom0:*:Acme_Stick", DeviceName(ANY, "Acme_Stick")),
        ("dom0:sda:*", DeviceName("sda", ANY)),
        ("dom0:0000_00_14.0", DeviceName("0000_00_14.0")),
        (f"dom0:{'p' * 255}:{'i' * 255}", DeviceName("p" * 255, "i" * 255)),
    ],
)
def test_the_forms_that_there_are(text: str, name: DeviceName) -> None:
    assert parse_device_name(text) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "device: '' cannot be used; write it as dom0:PORT or dom0:PORT:IDENT"),
        ("dom0:", "device: 'dom0:' cannot be used"),
        ("dom0::ident", "device: 'dom0::ident' cannot be used"),
        ("sys-usb:sda", "backend: 'sys-usb' cannot be used; only dom0 has devices to give"),
        (":sda", "backend: '' cannot be used"),
        ("DOM0:sda", "backend: 'DOM0' cannot be used"),
        ("dom0:*:*", "the port or the ident may be *, not both"),
        ("dom0:s\nda", "device: 'dom0:s\\nda' cannot be used"),
        ("dom0:sda:\x1b[31m", "cannot be used"),
        ("dom0:\u202esda", "cannot be used"),
        (f"dom0:{'p' * 256}", "cannot be used"),
        (f"dom0:sda:{'i' * 256}", "cannot be used"),
    ],
)
def test_what_is_no_device_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=re.escape(reason)):
        parse_device_name(text)


@pytest.mark.parametrize("text", ["x" * MIB, f"dom0:{'x' * MIB}", f"dom0:x:{'x' * MIB}", f"{'x' * MIB}:sda"])
def test_a_refusal_is_one_short_line_whatever_was_written(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_device_name(text)
    assert len(str(caught.value)) < 250


def test_the_classes_are_written_as_in_qubes() -> None:
    assert list(map(str, DeviceClass)) == ["block", "usb", "pci", "mic"]
