"""Makes clean copies of PDF files and pictures of this machine, of the plain pixels that a disposable draws of them."""

import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import BinaryIO

from qubes_manager.backend.host.clean_file import PDF, PNG, clean_file
from qubes_manager.backend.user.own_thread import in_own_thread
from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.core.crossing.services import GET_IMAGE, PDF_CONVERT
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.placing import place_beside
from qubes_manager.services.broker.guests.conversation import HostConversation
from qubes_manager.services.broker.guests.host_calls import START_PATIENCE, HostCalls
from qubes_manager.services.broker.transfers import Transfer

_PIECE = 1 << 20
# What a PDF file has somewhere in so many bytes; what has it not is taken for a picture.
_PDF_MARK, _HEAD = b"%PDF-", 1024


class HostConverting:
    """One file after the other, each in a disposable of its own, which *new* makes; the files stay as they are."""

    def __init__(self, calls: HostCalls, new: Callable[[Transfer], AbstractAsyncContextManager[Domain]]) -> None:
        self._calls = calls
        self._new = new

    async def convert(self, path: Path, transfer: Transfer) -> tuple[str, int]:
        """Make a clean copy beside a file; returns its name and its bytes. Raises QubesManagerError."""
        try:
            return await self._convert(path, transfer)
        except OSError as error:
            raise QubesManagerError(f"{error.strerror}") from error

    async def _convert(self, path: Path, transfer: Transfer) -> tuple[str, int]:
        async with AsyncExitStack() as stack:
            file, size, is_pdf = await in_own_thread(_opened, path)
            stack.push_async_callback(in_own_thread, file.close)
            kind, service = (PDF, PDF_CONVERT) if is_pdf else (PNG, GET_IMAGE)
            domain = await stack.enter_async_context(self._new(transfer))
            call = await self._calls.open(domain.key, service, patience=START_PATIENCE)
            conversation = await stack.enter_async_context(call)
            await _send(conversation, file, size, transfer)
            transfer.step(TransferPhase.MOVING, "its pages are drawn as plain pixels")
            # Not by its own name, which may be as long as a name can be.
            fresh = path.with_name(f".{os.urandom(8).hex()}.{kind}")
            stack.push_async_callback(in_own_thread, fresh.unlink, missing_ok=True)
            async with clean_file(_received(conversation), kind) as pieces:
                made = await _write(fresh, pieces)
            result = await conversation.result()
            if result.code:
                raise GuestError(one_line(conversation.error_text) or result.reason or "it could not be drawn")
            clean = await in_own_thread(place_beside, fresh, path.parent, f"{path.stem}.trusted.{kind}")
            return clean.name, made


def _opened(path: Path) -> tuple[BinaryIO, int, bool]:
    """A file, its size, and whether it says that it is a PDF; raises Refused, OSError. Blocks."""
    # A pipe in its place must not stop us.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Refused("it is no file")
        is_pdf = _PDF_MARK in file.read(_HEAD)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, status.st_size, is_pdf


async def _send(conversation: HostConversation, file: BinaryIO, size: int, transfer: Transfer) -> None:
    transfer.step(TransferPhase.MOVING)
    await conversation.write(Offer(size, 1).to_json().encode() + b"\n")
    left = size
    while left and (data := await in_own_thread(file.read, min(left, _PIECE))):
        await conversation.write(data)
        left -= len(data)
        transfer.moved(size - left, size)
    if left:
        raise Refused("it became smaller while it was sent")
    await conversation.finish()


async def _received(conversation: HostConversation) -> AsyncIterator[bytes]:
    """What the disposable draws; it may be silent while it does."""
    while piece := await conversation.read():
        yield piece


async def _write(fresh: Path, pieces: AsyncIterator[bytes]) -> int:
    """Write a clean file, of which nothing is seen yet; returns its size. Raises Refused, OSError."""
    free = await in_own_thread(os.statvfs, fresh.parent)
    most = free.f_bavail * free.f_frsize // 2
    made, file = 0, await in_own_thread(fresh.open, "xb")
    try:
        async for piece in pieces:
            made += len(piece)
            if made > most:
                raise Refused(f"the clean file has more than {format_size(most)}, half of what is free there")
            await in_own_thread(file.write, piece)
        await in_own_thread(_sync, file)
    finally:
        await in_own_thread(file.close)
    return made


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sentence(path: Path, clean: str) -> str:
    """What to say of one that got through."""
    return f"“{shown_name(clean)}” is clean; “{shown_name(path.name)}” is as it was"
