"""Turning one order of rows into another by the fewest ranges."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def ranges(rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of consecutive numbers in ascending *rows*."""
    first = last = None
    for row in rows:
        if last is not None and row == last + 1:
            last = row
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = row
    if first is not None and last is not None:
        yield first, last


def kept_in_order(old: Sequence[T], new: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return what both orders have, as the old one and as the new one has it."""
    in_old, in_new = set(old), set(new)
    return [item for item in old if item in in_new], [item for item in new if item in in_old]
