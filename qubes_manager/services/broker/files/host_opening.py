"""Opens files in a new disposable, for the user: to be viewed, or, if they are this machine's, to be edited too."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.backend.host.archive_sandbox import members_of
from qubes_manager.backend.host.incoming_files import IncomingFiles
from qubes_manager.backend.user.own_thread import in_own_thread
from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_messages import ALL_NAMES, VIEW_ONLY, Changed, Clash, Go, Offer, Stored
from qubes_manager.core.crossing.file_requests import CopyReport
from qubes_manager.core.crossing.remarks import Remarks
from qubes_manager.core.crossing.services import OPEN_IN_VM
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError, Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.walking import Entry, identity
from qubes_manager.guest.commands.putting_back import put_back
from qubes_manager.services.broker.desktop.launches import announce_launch
from qubes_manager.services.broker.files.file_lines import Lines
from qubes_manager.services.broker.files.incoming import Bounds, Tail
from qubes_manager.services.broker.files.outgoing import HostOutgoing, Outgoing
from qubes_manager.services.broker.guests.conversation import HostConversation
from qubes_manager.services.broker.guests.host_calls import START_PATIENCE, HostCalls
from qubes_manager.services.broker.transfers import Transfer

# Seconds to remove an empty folder.
_REMOVAL = 10.0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A file that is open elsewhere: its path here, and what it was when it went out."""

    path: Path
    identity: tuple[int, ...]


class HostOpening:
    """Files that are opened in one disposable. What comes back lands beside *landing* at worst.

    They are this machine's, unless *outgoing* brings them from elsewhere: nothing comes back then.
    """

    def __init__(
        self,
        calls: HostCalls,
        paths: Sequence[Path],
        landing: Path,
        *,
        view_only: bool,
        outgoing: Outgoing | None = None,
    ) -> None:
        self._calls = calls
        self._landing = landing
        self._view_only = view_only or outgoing is not None
        self._sent: dict[str, _Sent] = {}
        self._outgoing: Outgoing = outgoing or HostOutgoing(paths, note=self._note)
        names = [path.name for path in paths]
        if len(set(names)) < len(names):
            raise Refused("two of the files have the same name: open them one after the other")

    async def begin(self) -> None:
        """Look what there is, before anything is started for it; raises QubesManagerError."""
        await self._outgoing.begin()

    async def close(self) -> None:
        """Let go of what was open."""
        await self._outgoing.close()

    async def run(self, key: DomainKey, transfer: Transfer) -> CopyReport:
        """Open them in a domain that runs, and wait until they have been closed; raises QubesManagerError."""
        outgoing = self._outgoing
        transfer.moved(0, outgoing.offer.size)
        words = [word for word, wanted in ((VIEW_ONLY, self._view_only), (ALL_NAMES, outgoing.all_names)) if wanted]
        async with await self._calls.open(key, OPEN_IN_VM, "+".join(words), patience=START_PATIENCE) as conversation:
            lines = Lines(conversation)
            # It opens nothing before it has the files.
            await announce_launch(key)
            await self._send(conversation, lines, transfer)
            transfer.step(TransferPhase.MOVING, "open until their windows are closed")
            remarks = Remarks(outgoing.problems)
            if not self._view_only:
                remarks.extend(await self._take_back(lines))
            result = await conversation.result()
            if result.code:
                said = one_line(conversation.error_text)
                raise GuestError(said or result.reason or "the files could not be opened there")
        offer = outgoing.offer
        return CopyReport.telling("", offer.count, offer.size, bool(outgoing.problems), remarks)

    def _note(self, entry: Entry) -> None:
        if entry.is_file:
            self._sent[entry.name] = _Sent(Path(entry.path), identity(entry.status))

    async def _send(self, conversation: HostConversation, lines: Lines, transfer: Transfer) -> None:
        await lines.say(self._outgoing.offer)
        await lines.expect(Go)
        await self._outgoing.accept()
        transfer.step(TransferPhase.MOVING)
        async with aclosing(self._outgoing.pieces()) as archive:
            tail, moved = Tail(archive), 0
            async for piece in tail.pieces():
                await conversation.write(piece)
                moved += len(piece)
                transfer.moved(min(moved, self._outgoing.offer.size))
        await conversation.finish()
        stored = await lines.expect(Stored)
        if stored.sha256 != tail.digest:
            raise GuestError("the disposable has something else than what was sent")

    async def _take_back(self, lines: Lines) -> list[str]:
        """Take the files that were changed, all of them before the first is put into its place; returns remarks."""
        changed: dict[str, _Sent] = {}
        while isinstance(message := await lines.message(), Changed):
            if message.name not in self._sent or message.name in changed:
                raise Refused(f"“{shown_name(message.name)}” comes back, and was not sent")
            changed[message.name] = self._sent[message.name]
        if not isinstance(message, Offer) or message.count != len(changed):
            raise Refused("the disposable does not say what comes back")
        return await self._take(lines, message, list(changed.values())) if changed else []

    async def _take(self, lines: Lines, offer: Offer, changed: Sequence[_Sent]) -> list[str]:
        work = self._landing / f".edited-{os.urandom(4).hex()}"
        async with AsyncExitStack() as stack:
            receiver = IncomingFiles(work, "domain:disposable")
            # Without files in it, it goes; the receiver has taken its own away by then.
            stack.push_async_callback(_remove_soon, work)
            stack.push_async_callback(receiver.drop)
            await receiver.begin()
            room = (await receiver.room()).size
            if room is not None and offer.size > room // 2:
                raise Refused(
                    f"{format_size(offer.size)} come back, more than half of what is free here: nothing was changed"
                )
            bounds, wanted = Bounds(offer), {str(number) for number in range(len(changed))}
            async with members_of(lines.pieces()) as members:
                async for member in members:
                    bounds.check(member)
                    if member.name not in wanted or member.is_folder or member.is_link:
                        raise Refused("what comes back is something else than was said")
                    await receiver.add(member)
            landed = await receiver.finish(Clash.NUMBER)
            if set(landed.names) != wanted:
                raise Refused("not all comes back that was said")
        return await in_own_thread(self._put_back, work, changed)

    def _put_back(self, work: Path, changed: Sequence[_Sent]) -> list[str]:
        """Put each into its place; where one stays says its remark, whatever becomes of the others."""
        remarks = []
        for number, sent in enumerate(changed):
            edited = work / str(number)
            try:
                remarks.append(put_back(edited, sent.path, sent.identity, self._landing).sentence)
            except OSError as error:
                remarks.append(f"“{shown_name(sent.path.name)}” is in {edited}, as it came back: {error.strerror}")
                continue
            with suppress(OSError):
                # It may have been moved.
                edited.unlink()
        _remove_empty(work)
        return remarks


async def _remove_soon(folder: Path) -> None:
    """Remove it, in a file system that may not answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_REMOVAL):
            await in_own_thread(_remove_empty, folder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
