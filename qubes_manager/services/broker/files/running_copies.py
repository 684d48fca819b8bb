"""Copies that go on though nobody waits for them, and what came of those that are over."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_requests import AwaitCopy, CopyBegun, CopyReport
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.errors import Cancelled, NotFound, QubesManagerError
from qubes_manager.services.broker.files.carrying import sentence_for
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.broker.transfers import Transfer, Transfers
from qubes_manager.services.programs.client import Client

# Copies that are over, and whose reports may still be asked for.
_KEPT = 50


class RunningCopies:
    """Each is a transfer, and known by its number."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._background = Background()
        self._copies: OrderedDict[int, asyncio.Task[CopyReport]] = OrderedDict()

    def serve(self, requests: Requests) -> None:
        """Let clients wait for them."""
        requests.serve(AwaitCopy, self._on_await)

    async def close(self) -> None:
        """Give up all."""
        await self._background.close()

    def begin(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        paths: Sequence[str],
        work: Callable[[Transfer], Coroutine[object, object, CopyReport]],
    ) -> CopyBegun:
        """Begin a copy of *paths*, which *work* does, from one to another of these names and UUIDs."""
        transfer = self._transfers.begin(
            source=source,
            target=target,
            service=FILECOPY,
            sentence=sentence_for(paths),
            phase=TransferPhase.STARTING,
            cancel=lambda: self._copies[number].cancel(),
        )
        number = transfer.status.transfer
        self._copies[number] = copy = self._background.spawn(work(transfer))
        copy.add_done_callback(lambda _copy: _tell_end(transfer, copy))
        over = [number for number, copy in self._copies.items() if copy.done()]
        for gone in over[: max(0, len(self._copies) - _KEPT)]:
            del self._copies[gone]
        return CopyBegun(number)

    async def _on_await(self, _client: Client, request: AwaitCopy) -> CopyReport:
        if not (copy := self._copies.get(request.transfer)):
            raise NotFound("that copy is over, and forgotten")
        try:
            return await asyncio.shield(copy)
        except asyncio.CancelledError:
            if copy.cancelled():
                raise Cancelled() from None
            raise


def _tell_end(transfer: Transfer, copy: "asyncio.Task[CopyReport]") -> None:
    """Let a transfer say how it has ended, whatever that was."""
    if copy.cancelled():
        transfer.failed("stopped; nothing was changed")
    elif (error := copy.exception()) is None:
        transfer.done(_summary(copy.result()))
    elif isinstance(error, QubesManagerError):
        transfer.failed(str(error))
    else:
        transfer.failed("a fault of the program that carries files; its log has more")


def _summary(report: CopyReport) -> str:
    if not report.folder:
        return "; ".join(report.remarks[:2])
    return f"in {report.folder}" + (f"; {report.remarks[0]}" if report.remarks else "")
