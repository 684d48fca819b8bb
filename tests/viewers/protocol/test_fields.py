"""Values of packets, each of its type and within its bounds."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.protocol import fields
from qubes_manager.viewers.protocol.packets import Box
from qubes_manager.viewers.wire.rencode import Malformed, Packet, Value


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (fields.number, True),
        (fields.number, 1.0),
        (fields.number, b"1"),
        (fields.number, 1 << 31),
        (fields.number, -(1 << 31) - 1),
        (fields.flag, b"yes"),
        (fields.flag, None),
        (fields.text, 7),
        (fields.word, "Grüße".encode()),
        (fields.word, b"w" * 41),
        (fields.raw, []),
        (fields.items, b""),
        (fields.table, []),
        (fields.wid, 0),
        (fields.wid, -1),
    ],
)
def test_a_value_of_another_type_or_out_of_its_bounds_is_malformed(
    read: Callable[[Value], object], value: Value
) -> None:
    with pytest.raises(Malformed):
        read(value)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_text_is_cut_and_is_always_one(raw: bytes, limit: int) -> None:
    found = fields.text(raw, limit)
    assert len(found) <= limit
    assert raw.decode("utf-8", "replace").startswith(found.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_a_flag_may_be_a_number() -> None:
    assert (fields.flag(1), fields.flag(0), fields.flag(True)) == (True, False, True)


@pytest.mark.parametrize(
    "packet", [[b"x", 1, 2, 3], [b"x", 1, 2, 0, 4], [b"x", 1, 2, 3, 32768], [b"x", 1 << 31, 2, 3, 4]]
)
def test_a_box_has_two_sides(packet: Packet) -> None:
    assert fields.box([b"x", -1, -2, 3, 32767], 1) == Box(-1, -2, 3, 32767)
    with pytest.raises(ValueError, match=r"."):
        fields.box(packet, 1)
