"""Which of two readings of a domain is newer.

Readings overlap: one that began before a change may come back after one that saw the change. What began later has
seen at least as much, so an earlier one must not take its place.
"""

import itertools
from collections.abc import Iterable


class ReadOrder:
    """Gives each reading a number, and tells which of its answers are still news.

    Domains that are gone are remembered too: a reading from before must not bring them back.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._applied: dict[str, int] = {}

    def begin(self) -> int:
        """The number of a reading that begins now."""
        return next(self._numbers)

    def news(self, number: int, uuids: Iterable[str]) -> set[str]:
        """Those of *uuids* for which nothing that began later has been taken in; they count as taken in now."""
        fresh = {uuid for uuid in uuids if self._applied.get(uuid, 0) < number}
        self._applied.update(dict.fromkeys(fresh, number))
        return fresh
