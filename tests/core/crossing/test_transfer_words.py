"""How far a transfer is, in words."""

from dataclasses import replace

import pytest

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.crossing.transfer_words import duration, how_far, title

MOVING = TransferStatus(1, "work", "vault", "", "", "s", "a.txt", TransferPhase.MOVING)
MIB = 1 << 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "0 B"),
        ({"moved": 5 * MIB}, "5.0 MiB"),
        ({"moved": 5 * MIB, "total": 10 * MIB}, "5.0 MiB of 10.0 MiB"),
        ({"moved": 5 * MIB, "total": 10 * MIB, "rate": MIB}, "5.0 MiB of 10.0 MiB, 1.0 MiB/s, 5 s left"),
        # What has moved so far says nothing of the rest.
        ({"moved": 100, "total": 10 * MIB, "rate": 100}, "100 B of 10.0 MiB, 100 B/s"),
        ({"moved": 10 * MIB, "total": 10 * MIB, "rate": MIB}, "10.0 MiB of 10.0 MiB, 1.0 MiB/s"),
        ({"phase": TransferPhase.STARTING, "message": "“vault” is being started"}, "“vault” is being started"),
        (
            {"moved": 5, "total": 5, "message": "open until their windows are closed"},
            "open until their windows are closed",
        ),
        ({"phase": TransferPhase.ASKING}, "asking"),
    ],
)
def test_it_says_bytes_rate_and_what_is_left_or_what_is_waited_for(changes: dict[str, object], words: str) -> None:
    assert how_far(replace(MOVING, **changes)) == words  # type: ignore[arg-type]


def test_it_is_called_by_what_goes_where() -> None:
    assert title(MOVING) == "work → vault: a.txt"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (7200, "2 h"), (90_000, "25 h")]
)
def test_a_time_has_one_unit(seconds: int, words: str) -> None:
    assert duration(seconds) == words
