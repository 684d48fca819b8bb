"""Copies as the window and the commands have them made: begun, followed, stopped, waited for."""

import asyncio
from typing import Any

import pytest

from qubes_manager.core.crossing.broker_messages import CancelTransfer, Request, TransferPhase, TransferStatus
from qubes_manager.core.crossing.copying import Arrived
from qubes_manager.core.crossing.file_requests import (
    AwaitCopy,
    CopyBegun,
    CopyFiles,
    CopyReport,
    FilesArrived,
    OpenFiles,
)
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Cancelled, QubesManagerError, Refused
from qubes_manager.services.crossing.file_copies import Copy, FileCopies
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks
from tests.waiting import until

WORK = DomainKey("x", "11111111-1111-4111-8111-111111111111")
COPY = Copy("x", None, WORK, ["/a"])
REPORT = CopyReport("~", 1, 2)


class Link(BrokerLink):
    """Has copies go on until they are ended or cancelled."""

    def __init__(self) -> None:
        super().__init__("x")
        self.asked: list[Request] = []
        self.ending: asyncio.Future[CopyReport] = asyncio.get_running_loop().create_future()

    async def do(self, request: Request, patience: float = 0) -> None:
        self.asked.append(request)
        if isinstance(request, CancelTransfer):
            self.ending.set_exception(QubesManagerError("stopped; nothing was changed"))

    async def ask(self, request: Request, kind: Any, patience: float | None = 0) -> Any:
        self.asked.append(request)
        if isinstance(request, AwaitCopy):
            return await asyncio.shield(self.ending)
        assert kind is CopyBegun
        return CopyBegun(7)

    async def follow(self) -> None:
        """Nobody tells anything by itself."""


class Links(BrokerLinks):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._links["x"] = link


@pytest.fixture
async def link() -> Link:
    return Link()


@pytest.fixture
def copies(link: Link) -> FileCopies:
    links = Links(link)
    copies = FileCopies(links)
    links.added.emit(link)
    return copies


def status(number: int) -> TransferStatus:
    return TransferStatus(number, "dom0", "work", "", "", "s", "a", TransferPhase.MOVING)


async def test_a_copy_tells_how_far_it_is_and_what_became_of_it(link: Link, copies: FileCopies) -> None:
    told: list[TransferStatus] = []
    copying = asyncio.create_task(copies.copy(COPY, on_status=told.append))
    await until(lambda: len(link.asked) == 2)
    assert link.asked == [CopyFiles("", WORK.uuid, ("/a",)), AwaitCopy(7)]
    for number in (6, 7):
        link.heard.emit(status(number))
    link.ending.set_result(REPORT)
    assert await copying == REPORT
    # Others' transfers are not its own, and nobody hears of it any more.
    link.heard.emit(status(7))
    assert told == [status(7)]


async def test_who_stops_a_copy_is_told_that_it_was_stopped(link: Link, copies: FileCopies) -> None:
    is_stopped = False
    copying = asyncio.create_task(copies.copy(COPY, is_stopped=lambda: is_stopped))
    await until(lambda: len(link.asked) == 2)
    is_stopped = True
    with pytest.raises(Cancelled):
        await copying
    assert link.asked.count(CancelTransfer(7)) == 1


async def test_a_command_that_is_interrupted_takes_its_copy_with_it(link: Link, copies: FileCopies) -> None:
    copying = asyncio.create_task(copies.copy(COPY))
    await until(lambda: len(link.asked) == 2)
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert link.asked[-1] == CancelTransfer(7)


async def test_files_are_opened_in_the_same_way(link: Link, copies: FileCopies) -> None:
    link.ending.set_result(REPORT)
    assert await copies.open("x", ["/a"], view_only=True, template=WORK) == REPORT
    assert link.asked == [OpenFiles(WORK.uuid, ("/a",), True), AwaitCopy(7)]


@pytest.mark.parametrize("paths", [["/a"] * 5001, ["/" + "x" * 4000] * 300], ids=["many", "long"])
async def test_too_many_names_are_refused_with_a_way_out(link: Link, copies: FileCopies, paths: list[str]) -> None:
    with pytest.raises(Refused, match="put the files into a folder"):
        await copies.copy(Copy("x", None, WORK, paths))
    assert link.asked == []


async def test_what_has_come_to_this_machine_is_passed_on(link: Link, copies: FileCopies) -> None:
    heard: list[FilesArrived] = []
    copies.arrived.connect(heard.append)
    news = FilesArrived("work", "/x", 1, 3, (Arrived("a", 3, "00" * 32),))
    link.heard.emit(news)
    assert heard == [news]
