"""Sizes, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import BadInput
from qubes_manager.core.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "count"), [("10", 10), ("2K", 2048), ("1.5G", None), ("3 MiB", 3 << 20), ("1t", 1 << 40)]
)
def test_sizes_are_read(text: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(BadInput, match="give bytes, or a number with K, M, G or T"):
            parse_size(text)
    else:
        assert parse_size(text) == count


@given(st.integers(0, 1 << 60))
def test_sizes_in_words_are_near_the_truth(count: int) -> None:
    number, unit = format_size(count).split()
    factor = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[unit]
    assert abs(float(number) * factor - count) <= max(0.051 * factor, 0.006 * count)
