"""What the broker puts up with."""

import time

import pytest

from qubes_manager.services.broker.guests import patience
from qubes_manager.services.broker.guests.patience import Patience

# Seconds that a guest which does not stand still may owe something.
LITTLE = 0.3


def waits_of(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have the broker wait for little; returns the seconds that it has waited and that were not too long for it."""
    monkeypatch.setattr(patience, "STALL", LITTLE)
    waited: list[float] = []
    whole = Patience.is_over

    def is_over(asked: Patience, since: float) -> bool:
        is_over = whole(asked, since)
        if not is_over:
            waited.append(time.monotonic() - since)
        return is_over

    monkeypatch.setattr(Patience, "is_over", is_over)
    return waited
