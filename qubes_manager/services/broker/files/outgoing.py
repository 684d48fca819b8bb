"""Files that leave a domain, or this machine, as one archive: what is offered, and its bytes as they are asked for."""

import asyncio
import hashlib
import os
import stat
import tarfile
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from qubes_manager.backend.guests.agent_files import AgentFiles
from qubes_manager.backend.user.own_thread import in_own_thread
from qubes_manager.core.crossing.copying import Member
from qubes_manager.core.crossing.file_messages import ALL_NAMES, Go, Offer
from qubes_manager.core.crossing.guest_messages import Call
from qubes_manager.core.crossing.listing import FETCH_SERVICE
from qubes_manager.core.crossing.remarks import Remarks
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Cancelled, GuestError, NotFound, QubesManagerError, Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line
from qubes_manager.guest.archive.names import is_unusual, shown_name
from qubes_manager.guest.archive.packing import END, Packed, pack
from qubes_manager.guest.archive.walking import Entry, Survey, survey
from qubes_manager.guest.commands.sent_files import SentFiles
from qubes_manager.services.broker.files.file_lines import Lines
from qubes_manager.services.broker.guests.conversation import HostConversation
from qubes_manager.services.broker.guests.host_calls import HostCalls

# Bytes that are handed on at once, and pieces that wait for who takes them.
_PIECE, _WAITING = 256 << 10, 4
# Seconds for a thread that reads to hear that nobody listens any more.
_PATIENCE = 5.0


class Outgoing(Protocol):
    """Files on their way out. ``offer`` is known after ``begin``, what the archive was when all was read."""

    offer: Offer
    all_names: bool
    # Sentences on what stays behind.
    problems: Remarks

    async def begin(self) -> None:
        """Look what there is; raises QubesManagerError."""
        ...

    async def accept(self) -> None:
        """Whoever sends may begin: there is room for what it offers."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The archive; raises QubesManagerError."""
        ...

    async def stored(self) -> None:
        """The receiver has all of it, by its digest: what was to be moved is deleted here."""
        ...

    async def close(self) -> None:
        """Let go of what was open."""
        ...


@dataclass
class HostOutgoing:
    """Files of this machine. They are read in a thread, which is at most some pieces ahead."""

    paths: Sequence[Path]
    moves: bool = False
    ignore_links: bool = False
    # Is told of each file, folder and link that has gone out whole.
    note: Callable[[Entry], object] = lambda _entry: None
    offer: Offer = field(default=Offer(0, 0))
    all_names: bool = False
    problems: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        self._sent: SentFiles | None = None
        self._found: Survey | None = None

    async def begin(self) -> None:
        """Look what there is; raises NotFound."""
        self._found = found = await in_own_thread(survey, self.paths, ignore_links=self.ignore_links)
        if not found.count:
            await in_own_thread(survey, self.paths, problem=self._problem)
            raise NotFound("; ".join(islice(self.problems, 3)) or "there is nothing to be copied")
        self.offer, self.all_names = Offer(found.size, found.count), found.is_unusual

    async def accept(self) -> None:
        """Nobody waits for it."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The archive; raises QubesManagerError."""
        assert self._found
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()
        room, stopped = threading.Semaphore(_WAITING), False

        def hand_over(data: bytes) -> None:
            room.acquire()
            if stopped:
                raise Cancelled()
            loop.call_soon_threadsafe(queue.put_nowait, data)

        def work(found: Survey) -> Packed:
            gathered = _Gathered(hand_over)
            self._sent = SentFiles() if self.moves else None
            on_sent = self._sent.add if self._sent else self.note
            packed = pack(found, gathered.write, problem=self._problem, on_sent=on_sent)
            gathered.flush()
            return packed

        # It waits as long as the receiver lets it.
        packing = loop.create_task(in_own_thread(work, self._found))
        packing.add_done_callback(lambda _task: queue.put_nowait(None))
        try:
            while (piece := await queue.get()) is not None:
                room.release()
                yield piece
            await packing
        finally:
            stopped = True
            room.release()
            # It may hang in a file system that does not answer.
            await asyncio.wait([packing], timeout=_PATIENCE)
            if packing.done() and not packing.cancelled():
                packing.exception()

    async def stored(self) -> None:
        """Delete what was sent and is the same still."""
        if self._sent:
            await in_own_thread(self._sent.delete, self._problem)

    async def close(self) -> None:
        """Forget what was sent."""
        if self._sent:
            await in_own_thread(self._sent.close)

    def _problem(self, path: str, reason: str) -> None:
        self.problems.add(f"“{shown_name(path)}”: {reason}")


class _Gathered:
    """Makes few large pieces of many small ones."""

    def __init__(self, hand_over: Callable[[bytes], None]) -> None:
        self._hand_over = hand_over
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self.flush()

    def flush(self) -> None:
        if self._parts:
            self._hand_over(b"".join(self._parts))
            self._parts, self._size = [], 0


@dataclass
class GuestOutgoing:
    """Files of a domain that has our tools: those that its service sends."""

    calls: HostCalls
    key: DomainKey
    paths: Sequence[str]
    offer: Offer = field(default=Offer(0, 0))
    # The names are those that the user has chosen; who takes them is told that they may be unusual.
    all_names: bool = True
    problems: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        self._conversation: HostConversation | None = None
        self._lines: Lines

    async def begin(self) -> None:
        """Look what there is; raises QubesManagerError."""
        self._conversation = conversation = await self.calls.open(self.key, FETCH_SERVICE)
        await conversation.write(b"\0".join(os.fsencode(path) for path in self.paths))
        await conversation.finish()
        self._lines = Lines(conversation)
        try:
            self.offer = await self._lines.expect(Offer)
        except QubesManagerError as error:
            raise GuestError(one_line(conversation.error_text) or str(error)) from error

    async def accept(self) -> None:
        """Nobody waits for it."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The archive; raises QubesManagerError."""
        assert self._conversation
        async for piece in self._lines.pieces():
            yield piece
        await self._conversation.result()
        self.problems.extend(line for line in self._conversation.error_text.splitlines() if line.strip())

    async def stored(self) -> None:
        """Nothing is moved out of a domain from here: what it deletes is its own affair."""

    async def close(self) -> None:
        """End the call, if it goes on."""
        if self._conversation:
            await self._conversation.cancel()


@dataclass
class CallOutgoing:
    """What a domain sends by *call*, which has told how much that will be."""

    lines: Lines
    call: Call
    all_names: bool = field(init=False)
    offer: Offer = field(default=Offer(0, 0))
    problems: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        self.all_names = self.call.argument == ALL_NAMES

    async def begin(self) -> None:
        """Hear what is offered, no more of it than was told when it was decided; raises QubesManagerError."""
        self.offer = offer = await self.lines.expect(Offer, is_owed=True)
        call = self.call
        if not call.count:
            raise Refused("it was not told how many files were to come, and none is taken")
        if offer.size > call.size or offer.count > call.count:
            raise Refused(
                f"it was asked about {_words(call.count, call.size)}, and then came {_words(offer.count, offer.size)}"
            )

    async def accept(self) -> None:
        """Tell it to begin."""
        await self.lines.say(Go())

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The archive, and no end of it: who takes it apart knows when it has all. Raises QubesManagerError."""
        return self.lines.pieces()

    async def stored(self) -> None:
        """Who called is told by who serves."""

    async def close(self) -> None:
        """The call ends with who serves it."""


@dataclass
class AgentOutgoing:
    """Files of a domain that has nothing but an agent."""

    files: AgentFiles
    paths: Sequence[str]
    offer: Offer = field(default=Offer(0, 0))
    all_names: bool = False
    problems: Remarks = field(default_factory=Remarks)
    members: Sequence[Member] = ()

    async def begin(self) -> None:
        """Look what there is; raises QubesManagerError."""
        found = await self.files.walk(self.paths)
        self.members = found.members
        self.offer = Offer(found.size, len(found.members))
        self.all_names = any(is_unusual(member.name) for member in found.members)

    async def accept(self) -> None:
        """Nobody waits for it."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The archive; raises QubesManagerError."""
        seen = hashlib.sha256()
        for member in self.members:
            seen.update(header := _header(member))
            yield header
            async for piece in member.pieces:
                seen.update(piece)
                yield piece
            if padding := bytes(-member.size % tarfile.BLOCKSIZE):
                seen.update(padding)
                yield padding
        seen.update(END)
        yield END + seen.digest()

    async def stored(self) -> None:
        """Nothing is moved out of a domain through its agent."""

    async def close(self) -> None:
        """Nothing is open."""


def _words(count: int, size: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'} of {format_size(size)}"


def _header(member: Member) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.mode, info.mtime, info.size = member.mode, member.changed, member.size
    if member.is_folder:
        info.type, info.mode = tarfile.DIRTYPE, member.mode | stat.S_IRWXU
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
