"""Carrying one copy: from what is going out to what takes it in, told to a transfer."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_requests import CopyReport
from qubes_manager.core.crossing.remarks import Remarks
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.services.broker.files.incoming import Incoming, Taken
from qubes_manager.services.broker.files.outgoing import Outgoing
from qubes_manager.services.broker.transfers import Transfer


async def carry(outgoing: Outgoing, incoming: Incoming, transfer: Transfer | None = None, *, all_names: bool) -> Taken:
    """Take in what is going out, which has begun; raises QubesManagerError."""
    await incoming.begin(outgoing.offer, all_names=all_names and outgoing.all_names)
    await outgoing.accept()
    async with aclosing(outgoing.pieces()) as archive:
        if transfer is None:
            return await incoming.take(archive)
        transfer.step(TransferPhase.MOVING)
        async with aclosing(_counted(archive, outgoing.offer.size, transfer)) as counted:
            return await incoming.take(counted)


async def _counted(archive: AsyncIterator[bytes], total: int, transfer: Transfer) -> AsyncGenerator[bytes, None]:
    """The archive, told to the transfer; what is around the files in it does not count for more than they are."""
    moved = 0
    async for piece in archive:
        yield piece
        moved += len(piece)
        transfer.moved(min(moved, total))


def report_of(outgoing: Outgoing, incoming: Incoming, taken: Taken, *, moves: bool) -> CopyReport:
    remarks = Remarks(outgoing.problems)
    remarks.extend(taken.remarks)
    stays = moves and (taken.skipped or not taken.is_proved)
    if stays:
        why = "something was skipped" if taken.skipped else "the receiver cannot tell whether it has all"
        remarks.add(f"nothing was deleted here: {why}")
    is_partial = bool(outgoing.problems or stays)
    return CopyReport.telling(incoming.folder, taken.count, taken.size, is_partial, remarks, taken.files)


def sentence_for(paths: Sequence[str]) -> str:
    first = shown_name(paths[0].rstrip("/").rpartition("/")[2])
    return f"{first} and {len(paths) - 1} more" if len(paths) > 1 else first
