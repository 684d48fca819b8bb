"""Rates: what is there at once, and what must be waited for."""

from types import SimpleNamespace

import pytest

from qubes_manager.core.crossing import rate
from qubes_manager.core.crossing.rate import Rate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says, to be set."""
    now = [100.0]
    monkeypatch.setattr(rate, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_burst_costs_no_time_and_what_is_beyond_it_is_waited_for(clock: list[float]) -> None:
    said = Rate(2.0, 3)
    assert [said.spend() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    clock[0] += 1.0
    assert said.spend(4) == 2.0


def test_nothing_is_spent_that_is_not_there_and_no_rest_is_worth_more_than_the_burst(clock: list[float]) -> None:
    asked = Rate(1.0, 2)
    assert [asked.try_spend() for _ in range(3)] == [True, True, False]
    clock[0] += 1.0
    assert asked.try_spend() and not asked.try_spend() and not asked.is_full
    asked.give_back()
    assert asked.try_spend()
    clock[0] += 1000.0
    assert asked.is_full and [asked.try_spend() for _ in range(3)] == [True, True, False]
