"""rencode and rencodeplus, held against values of all kinds and against bytes that are none."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.wire.rencode import MAX_DEPTH, MAX_ITEMS, Malformed, Sayable, Value, decode, encode

_NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=90)
_SAYABLE: st.SearchStrategy[Sayable] = st.recursive(
    st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=70) | st.dictionaries(_TEXTS, inner, max_size=30),
    max_leaves=80,
)


def _as_decoded(said: Sayable) -> Value:
    match said:
        case str():
            return said.encode()
        case bool() | int():
            return said
        case dict():
            return {key.encode(): _as_decoded(value) for key, value in said.items()}
        case _:
            return [_as_decoded(value) for value in said]


@given(_SAYABLE)
def test_what_is_said_is_read_again(said: Sayable) -> None:
    assert decode(encode(said)) == _as_decoded(said)


@given(st.binary(max_size=300))
def test_bytes_are_a_value_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x2b", 43),
        (b"\x3e\x80", -128),
        (b"\x46", -1),
        (b"\x65", -32),
        (b"\x3f\x01\x00", 256),
        (b"\x40\xff\xff\xff\xff", -1),
        (b"\x41" + b"\xff" * 8, -1),
        (b"=-12345678901234567890"[:20] + b"\x7f", -123456789012345678),
        (b"B" + struct.pack("!f", 1.5), 1.5),
        (b"," + struct.pack("!d", 0.1), 0.1),
        (b"C", True),
        (b"D", False),
        (b"E", None),
        (b"\x83abc", b"abc"),
        (b"3:abc", b"abc"),
        (b"3/abc", b"abc"),
        (b"0/", b""),
        (b"\xc2\x01\x02", [1, 2]),
        (b";\x01\x02\x7f", [1, 2]),
        (b"\x67\x81a\x01", {b"a": 1}),
        (b"<\x81a\x01\x07\x02\x7f", {b"a": 1, 7: 2}),
    ],
)
def test_each_form_of_a_value_is_read(data: bytes, value: Value) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b";",
        b"<\x81a",
        b"\x85abc",
        b"2147483648:x",
        b"9" * 40 + b":x",
        b"1x:a",
        b"=1_0\x7f",
        b"=+1\x7f",
        b"=\x7f",
        b"=" + b"9" * 40 + b"\x7f",
        b"\x40\x00",
        b"\x00\x00",
        b"F_"[:1] + b"\x00",
        b"\x2d",
        b"\x67\xc0\x01",
        b"\x67" + b"," + bytes(8) + b"\x01",
    ],
)
def test_what_is_no_value_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_lists_in_lists_end_at_a_depth_that_no_packet_has() -> None:
    # The library on PyPI ends here with SIGSEGV.
    with pytest.raises(Malformed):
        decode(b"\xc1" * 100_000)
    with pytest.raises(Malformed):
        decode(b"\x67\x00" * 100_000)
    assert decode(b"\xc1" * (MAX_DEPTH - 1) + b"\xc0")


@pytest.mark.parametrize("empty", [b"\xc0", b"\x66", b"\x80", b"\x00"])
def test_items_end_at_a_count_that_no_packet_has(empty: bytes) -> None:
    assert decode(b";" + empty * (MAX_ITEMS - 1) + b"\x7f")
    with pytest.raises(Malformed):
        decode(b";" + empty * MAX_ITEMS + b"\x7f")
