"""For how long who owes something to the other side of a call may let it wait."""

import math
import time
from collections.abc import Callable

from qubes_manager.core.crossing.ports import PAUSED_STALL, STALL


class Patience:
    """Two minutes, or an hour while a domain stands still, as *is_paused* says; one that goes on has its time again.

    It has to be asked often, since nothing tells of a domain that goes on.
    """

    def __init__(self, is_paused: Callable[[], bool]) -> None:
        self._is_paused = is_paused
        self._was_paused = False
        self._went_on = -math.inf

    @property
    def limit(self) -> float:
        """Seconds, as things stood when it was asked last."""
        return PAUSED_STALL if self._was_paused else STALL

    def is_over(self, since: float) -> bool:
        """Whether what has been owed since *since* (time.monotonic) is owed for too long."""
        is_paused, now = self._is_paused(), time.monotonic()
        if self._was_paused and not is_paused:
            self._went_on = now
        self._was_paused = is_paused
        return now - max(since, self._went_on) > self.limit
