"""Frames: packets come out whole however their bytes come in, and sizes that none has break the connection at once."""

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.wire.framing import (
    MAX_ITEM,
    MAX_PACKET,
    RENCODE,
    RENCODEPLUS,
    Broken,
    FrameReader,
    frame,
)
from qubes_manager.viewers.wire.rencode import Malformed, Packet, encode


def _frame(body: bytes, index: int = 0, flags: int = RENCODE, level: int = 0, magic: bytes = b"P") -> bytes:
    return struct.pack("!cBBBL", magic, flags, level, index, len(body)) + body


def _read(data: bytes, form: int = RENCODE) -> list[Packet | Malformed]:
    return list(FrameReader(form).feed(data))


@given(st.lists(st.integers(1, 40), max_size=60), st.sampled_from([RENCODE, RENCODEPLUS]))
def test_packets_come_whole_however_their_bytes_come(pieces: list[int], form: int) -> None:
    stream = frame(form, ["one", 1]) + _frame(b"pixels", 2, 0) + frame(form, ["draw", 3, ""]) + frame(form, ["two", {}])
    reader, found = FrameReader(form), []
    for size in pieces:
        found += list(reader.feed(stream[:size]))
        stream = stream[size:]
    found += list(reader.feed(stream))
    assert found == [[b"one", 1], [b"draw", 3, b"pixels"], [b"two", {}]]


def test_packets_that_were_not_taken_are_there_the_next_time() -> None:
    reader = FrameReader(RENCODE)
    first = reader.feed(frame(RENCODE, ["one"]) + frame(RENCODE, ["two"]))
    assert next(first) == [b"one"]
    assert list(reader.feed(b"")) == [[b"two"]]


@pytest.mark.parametrize(
    "data",
    [
        _frame(b"\xc0", magic=b"G"),
        b"HTTP/1.1 200 OK\r\n",
        struct.pack("!cBBBL", b"P", RENCODE, 0, 0, MAX_PACKET + 1),
        struct.pack("!cBBBL", b"P", 0, 0, 1, MAX_ITEM + 1),
        struct.pack("!cBBBL", b"P", 0, 0, 16, 1),
        _frame(bytes(1 << 20), 1) + struct.pack("!cBBBL", b"P", 0, 0, 2, MAX_ITEM - (1 << 20) + 1),
    ],
    ids=["magic", "http", "packet", "item", "index", "items"],
)
def test_what_is_no_frame_breaks_the_connection(data: bytes) -> None:
    with pytest.raises(Broken):
        _read(data)


@pytest.mark.parametrize(
    "data",
    [
        _frame(encode(["draw"]), flags=RENCODEPLUS),
        _frame(encode(["draw"]), flags=RENCODE | 0x02),
        _frame(encode(["draw"]), level=0x10),
        _frame(b"x", 1, level=0x10) + _frame(encode(["draw", ""])),
        _frame(b"x", 2) + _frame(encode(["draw", ""])),
        _frame(b"x", 1) + _frame(encode(["draw", "full"])),
        _frame(encode([])),
        _frame(encode({})),
        _frame(b""),
        _frame(b"\xc1" * 1000),
    ],
    ids=["form", "cipher", "level", "item's level", "no place", "taken", "empty", "table", "nothing", "deep"],
)
def test_what_is_wrong_in_a_packet_costs_that_packet_alone(data: bytes) -> None:
    wrong, right = _read(data + frame(RENCODE, ["ping", 1]))
    assert isinstance(wrong, Malformed)
    assert right == [b"ping", 1]


def test_items_of_a_packet_do_not_wait_for_the_next() -> None:
    data = _frame(b"x", 1) + frame(RENCODE, ["draw"]) + frame(RENCODE, ["draw", ""])
    wrong, right = _read(data)
    assert isinstance(wrong, Malformed)
    assert right == [b"draw", b""]


def test_a_flag_that_says_when_to_send_means_nothing() -> None:
    assert _read(_frame(encode(["ping"]), flags=RENCODEPLUS | 0x08), RENCODEPLUS) == [[b"ping"]]


def test_memory_is_taken_for_bytes_that_came_and_not_for_sizes_that_were_said() -> None:
    reader = FrameReader(RENCODE)
    tracemalloc.start()
    try:
        assert not list(reader.feed(struct.pack("!cBBBL", b"P", 0, 0, 1, MAX_ITEM) + bytes(1000)))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
