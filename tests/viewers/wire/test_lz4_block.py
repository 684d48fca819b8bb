"""Blocks as a server makes them, and blocks that say more than they are."""

import struct
import tracemalloc

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.viewers.wire.lz4_block import decompress
from qubes_manager.viewers.wire.rencode import Malformed


def _block(data: bytes, size: int | None = None) -> bytes:
    packed: bytes = lz4.block.compress(data, store_size=False)
    return struct.pack("<I", len(data) if size is None else size) + packed


@given(st.binary(min_size=1, max_size=2000).map(lambda data: data * 3))
def test_a_block_is_what_was_compressed(data: bytes) -> None:
    # xpra takes the library's own form.
    assert _block(data) == lz4.block.compress(data)
    assert decompress(_block(data), len(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x00\x00",
        b"\x01\x00\x00\x00",
        _block(b""),
        _block(bytes(1000), 1001),
        _block(bytes(1000), 999),
        _block(bytes(1000), 0),
        _block(bytes(1000), (1 << 32) - 1),
        _block(bytes(1000))[:-3],
        struct.pack("<I", 1000) + bytes(range(256)),
    ],
    ids=["empty", "cut size", "no block", "nothing", "more", "less", "none", "4 GiB", "cut", "noise"],
)
def test_a_block_that_lies_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decompress(data, 1 << 26)


def test_a_block_is_no_more_than_its_picture() -> None:
    data = _block(bytes(1 << 20))
    with pytest.raises(Malformed):
        decompress(data, (1 << 20) - 1)


def test_no_memory_is_taken_for_what_a_block_cannot_be() -> None:
    data = struct.pack("<I", 60 << 20) + bytes(1000)
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            decompress(data, 1 << 26)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
