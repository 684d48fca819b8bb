"""Where a copy goes: into a domain that has our tools, or to a receiver that takes its members one by one."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from qubes_manager.backend.host.archive_sandbox import members_of
from qubes_manager.core.crossing.copying import Arrived, Member, Receiver
from qubes_manager.core.crossing.file_messages import (
    ALL_NAMES,
    CHOSEN_AT_ONCE,
    INCOMING,
    Chosen,
    Clash,
    Go,
    Offer,
    Stored,
)
from qubes_manager.core.crossing.ports import PAUSED_STALL
from qubes_manager.core.crossing.remarks import Remarks
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused, TimedOut
from qubes_manager.core.sizes import format_size
from qubes_manager.guest.archive.names import refuse_unchosen, shown_name
from qubes_manager.services.broker.files.file_lines import DIGEST, Lines
from qubes_manager.services.broker.guests.conversation import HostConversation
from qubes_manager.services.broker.guests.host_calls import HostCalls


@dataclass(frozen=True, slots=True)
class Taken:
    """What a target has taken: files, folders and links, bytes of files, and whether it has proved that it has all.

    *sha256* is the archive's, in hex; *renamed* and *skipped* say how many names were taken, and what became of those.
    *files* are the first ones, where they are known.
    """

    count: int
    size: int
    is_proved: bool
    sha256: str
    renamed: int
    skipped: int
    remarks: Remarks
    files: tuple[Arrived, ...] = ()


class Incoming(Protocol):
    """Who takes a copy."""

    # Where it will be, for people.
    folder: str

    async def begin(self, offer: Offer, *, all_names: bool) -> None:
        """Look whether there is room; raises Refused, QubesManagerError."""
        ...

    async def take(self, archive: AsyncIterator[bytes]) -> Taken:
        """Take all of it; nothing is seen of it before. Raises QubesManagerError."""
        ...

    async def close(self) -> None:
        """Let go; what did not come whole is taken away."""
        ...


@dataclass
class GuestIncoming:
    """Into a domain that has our tools, where it is *source*'s."""

    calls: HostCalls
    key: DomainKey
    source: str
    clash: Clash = Clash.NUMBER
    # Names beside each other that may come; any where there are none.
    chosen: Collection[str] = ()
    folder: str = field(init=False)

    def __post_init__(self) -> None:
        self.folder = f"~/{INCOMING}/{self.source}"
        self._conversation: HostConversation | None = None
        self._lines: Lines

    async def begin(self, offer: Offer, *, all_names: bool) -> None:
        """Ask it whether there is room; raises Refused with its reason, GuestError, TimedOut."""
        words = [ALL_NAMES] if all_names else []
        if self.clash is not Clash.NUMBER:
            words.append(self.clash)
        argument = "+".join(words)
        self._offer = offer
        self._conversation = await self.calls.open(self.key, FILECOPY, argument, source=self.source)
        self._lines = Lines(self._conversation)
        names = iter(self.chosen)
        while some := tuple(islice(names, CHOSEN_AT_ONCE)):
            await self._lines.say(Chosen(some))
        await self._lines.say(offer)
        await self._lines.expect(Go, is_owed=True)

    async def take(self, archive: AsyncIterator[bytes]) -> Taken:
        """Hand it all over, and hear what it has."""
        assert self._conversation
        tail = Tail(archive)
        async for piece in tail.pieces():
            try:
                await self._conversation.write(piece)
            except GuestError as error:
                raise await self._reason(error) from error
        await self._conversation.finish()
        stored = await self._stored()
        if stored.sha256 != tail.digest:
            raise GuestError("the receiver has something else than what was sent")
        await self._conversation.result(is_owed=True)
        remarks = Remarks()
        if stored.renamed:
            remarks.add(f"{stored.renamed} got a number, since the name was taken")
        if stored.skipped:
            remarks.add(f"{stored.skipped} were skipped, since the name was taken")
        offer = self._offer
        return Taken(offer.count, offer.size, True, tail.digest, stored.renamed, stored.skipped, remarks)

    async def close(self) -> None:
        """End the call, if it goes on."""
        if self._conversation:
            await self._conversation.cancel()

    async def _stored(self) -> Stored:
        """Its last word, for which its disk may take long."""
        try:
            async with asyncio.timeout(PAUSED_STALL):
                return await self._lines.expect(Stored)
        except TimeoutError:
            raise TimedOut(f"the receiver has not said within {PAUSED_STALL:.0f} s that it has all") from None

    async def _reason(self, error: QubesManagerError) -> QubesManagerError:
        """Why it takes no more: its own words, if they have come."""
        try:
            await self._lines.expect(Stored)
        except Refused as refused:
            return refused
        except QubesManagerError:
            pass
        return error


@dataclass
class ReceiverIncoming:
    """To a receiver that takes members, which the sandbox tells of. *name* is whose disk it is."""

    receiver: Receiver
    folder: str
    name: str
    clash: Clash = Clash.NUMBER
    chosen: Collection[str] = ()
    all_names: bool = False

    async def begin(self, offer: Offer, *, all_names: bool) -> None:
        """Look whether there is room; raises Refused."""
        self.all_names = all_names
        self._offer = offer
        room = await self.receiver.room()
        needed = f"there is no room in “{self.name}”: {format_size(offer.size)} are needed"
        if room.size is not None and offer.size > room.size:
            raise Refused(f"{needed}, {format_size(room.size)} may be used")
        if room.count is not None and offer.count > room.count:
            raise Refused(f"{needed} by {offer.count:,} files, and its disk has room for {room.count:,}")

    async def take(self, archive: AsyncIterator[bytes]) -> Taken:
        """Take member by member."""
        remarks, bounds = Remarks(), Bounds(self._offer)
        tail = Tail(archive)
        async with members_of(tail.pieces(), all_names=self.all_names) as members:
            async for member in members:
                bounds.check(member)
                refuse_unchosen(member.name.partition("/")[0], self.chosen)
                if member.is_link:
                    remarks.add(f"“{shown_name(member.name)}” is a link, and was left out")
                else:
                    await self.receiver.add(member)
        landed = await self.receiver.finish(self.clash)
        for old, new in landed.names.items():
            if not new:
                remarks.add(f"“{shown_name(old)}” is there already, and was skipped")
            elif old != new:
                remarks.add(f"“{shown_name(old)}” is “{shown_name(new)}” there, since the name was taken")
        renamed = sum(bool(new) and new != old for old, new in landed.names.items())
        skipped = sum(not new for new in landed.names.values())
        return Taken(bounds.count, bounds.size, landed.is_proved, tail.digest, renamed, skipped, remarks, landed.files)

    async def close(self) -> None:
        """Take away what did not come whole."""
        await self.receiver.drop()


class Tail:
    """An archive on its way, and the digest behind it."""

    def __init__(self, archive: AsyncIterator[bytes]) -> None:
        self._archive = archive
        self._end = b""

    @property
    def digest(self) -> str:
        """What the sender says that it has sent, in hex; who has taken the archive apart has found it right."""
        return self._end.hex()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The archive."""
        async for piece in self._archive:
            self._end = (self._end + piece[-DIGEST:])[-DIGEST:]
            yield piece


class Bounds:
    """Holds a sender to what it has offered; files may grow a little between its look at them and their sending.

    *size* and *count* are bytes and members that have come.
    """

    def __init__(self, offer: Offer) -> None:
        self.size = self.count = 0
        self._most_size = offer.most_bytes
        self._most_count = offer.most_things

    def check(self, member: Member) -> None:
        """Raise Refused when *member* is too much."""
        self.size += member.size
        self.count += 1
        if self.size > self._most_size or self.count > self._most_count:
            raise Refused("more comes than was said; nothing was kept")
