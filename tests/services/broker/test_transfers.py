"""How what crosses is told of."""

import asyncio
import time

import pytest

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.errors import NotFound
from qubes_manager.services.broker.transfers import Transfer, Transfers


def begun(transfers: Transfers) -> Transfer:
    return transfers.begin(
        source=("a", ""), target=("@default", ""), service="s", sentence="t", total=100, cancel=lambda: None
    )


async def test_however_often_bytes_move_it_is_told_five_times_a_second_at_most() -> None:
    transfers, told = Transfers(), list[TransferStatus]()
    transfers.changed.connect(told.append)
    began = time.monotonic()
    transfer = begun(transfers)
    for count in range(100):
        transfer.moved(count)
        await asyncio.sleep(0.005)
    assert len(told) <= 2 + 5 * (time.monotonic() - began)
    transfer.moved(100)
    transfer.done()
    assert told[-1].moved == 100
    assert told[-1].rate > 0


async def test_steps_are_told_at_once_and_the_end_is_the_last_word() -> None:
    transfers, told = Transfers(), list[TransferStatus]()
    transfers.changed.connect(told.append)
    transfer = begun(transfers)
    transfer.to("b", "uuid")
    transfer.step(TransferPhase.STARTING, "“b” is being started")
    transfer.failed("refused")
    transfer.done()
    transfer.moved(5)
    await asyncio.sleep(0.3)
    assert [(status.phase, status.target, status.message) for status in told] == [
        (TransferPhase.MOVING, "@default", ""),
        (TransferPhase.STARTING, "b", "“b” is being started"),
        (TransferPhase.FAILED, "b", "refused"),
    ]
    assert transfers.statuses == []
    with pytest.raises(NotFound):
        transfers.cancel(1)
