"""Copies that go on, and the reports of those that are over."""

import asyncio

import pytest

from qubes_manager.core.crossing.broker_messages import Request, TransferPhase, TransferStatus
from qubes_manager.core.crossing.file_requests import AwaitCopy, CopyReport
from qubes_manager.core.errors import Cancelled, NotFound
from qubes_manager.services.broker.files.running_copies import RunningCopies
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.broker.transfers import Transfer, Transfers
from tests.services.broker.files.conftest import NOBODY

HERE, THERE = ("dom0", ""), ("work", "1")


class Running:
    """Copies that are over when they are begun, unless they are to wait."""

    def __init__(self) -> None:
        self.transfers = Transfers()
        self.copies = RunningCopies(self.transfers)
        self.requests = Requests()
        self.copies.serve(self.requests)

    def begin(self, *, waits: bool = False) -> int:
        async def work(transfer: Transfer) -> CopyReport:
            if waits:
                await asyncio.Event().wait()
            return CopyReport("folder", transfer.status.transfer, 0)

        return self.copies.begin(HERE, THERE, ["/a", "/b"], work).transfer

    async def report(self, number: int) -> object:
        request: Request = AwaitCopy(number)
        return await self.requests.answer(NOBODY, request)


async def test_the_last_fifty_that_are_over_are_told_of_and_no_more() -> None:
    running = Running()
    numbers = [running.begin() for _ in range(50)]
    await asyncio.sleep(0)
    assert [await running.report(number) for number in numbers] == [CopyReport("folder", n, 0) for n in numbers]
    last = running.begin()
    await asyncio.sleep(0)
    with pytest.raises(NotFound, match="over, and forgotten"):
        await running.report(numbers[0])
    for number in (*numbers[1:], last):
        assert await running.report(number) == CopyReport("folder", number, 0)


async def test_one_that_goes_on_is_not_forgotten_whatever_is_begun_after_it() -> None:
    running = Running()
    number = running.begin(waits=True)
    for _ in range(60):
        running.begin()
        await asyncio.sleep(0)
    waiting = asyncio.create_task(running.report(number))
    await asyncio.sleep(0)
    running.transfers.cancel(number)
    with pytest.raises(Cancelled):
        await waiting


async def test_each_says_how_it_ended_even_one_that_was_stopped_before_it_began() -> None:
    running, told = Running(), list[TransferStatus]()
    running.transfers.changed.connect(told.append)
    number = running.begin(waits=True)
    running.transfers.cancel(number)
    with pytest.raises(Cancelled):
        await running.report(number)
    assert (told[-1].phase, told[-1].message) == (TransferPhase.FAILED, "stopped; nothing was changed")
    assert running.transfers.is_idle
