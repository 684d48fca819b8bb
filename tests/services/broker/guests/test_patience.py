"""How long who owes something may let others wait."""

import time

import pytest

from qubes_manager.core.crossing.ports import PAUSED_STALL, STALL
from qubes_manager.services.broker.guests.patience import Patience


def test_one_that_stands_still_has_an_hour_and_its_time_again_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now, is_paused = 10_000.0, False
    monkeypatch.setattr(time, "monotonic", lambda: now)
    patience = Patience(lambda: is_paused)
    assert not patience.is_over(now - STALL)
    assert patience.is_over(now - STALL - 1)
    is_paused = True
    assert not patience.is_over(now - PAUSED_STALL)
    assert patience.is_over(now - PAUSED_STALL - 1)
    is_paused = False
    assert not patience.is_over(now - PAUSED_STALL)
    now += STALL
    assert not patience.is_over(0)
    now += 1
    assert patience.is_over(0)
