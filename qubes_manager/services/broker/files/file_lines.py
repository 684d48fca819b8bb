"""Lines and archives of a call about files, in turns on the same stream (``core.crossing.file_messages``)."""

from collections.abc import AsyncGenerator
from typing import TypeVar

from qubes_manager.core.crossing.file_messages import Failure, FileMessage, parse_file_message
from qubes_manager.core.errors import GuestError, Refused
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.services.broker.guests.conversation import HostConversation

Kind = TypeVar("Kind", bound=FileMessage)
# Bytes of the digest behind an archive.
DIGEST = 32


class Lines:
    """What the other side of a conversation says, bounded, and what it is told."""

    def __init__(self, conversation: HostConversation) -> None:
        self._conversation = conversation
        self._rest = b""

    async def say(self, message: FileMessage) -> None:
        """Send a message; raises GuestError, TimedOut."""
        await self._conversation.write(message.to_json().encode() + b"\n")

    async def message(self, *, is_owed: bool = False) -> FileMessage:
        """The next message; raises Refused with the reason of who refuses, GuestError, TimedOut.

        It may take its time, unless *is_owed*.
        """
        try:
            message = parse_file_message(await self._line(is_owed))
        except BadMessage as error:
            raise GuestError(f"the other side says what makes no sense: {error}") from error
        if isinstance(message, Failure):
            raise Refused(message.reason)
        return message

    async def expect(self, kind: type[Kind], *, is_owed: bool = False) -> Kind:
        """The next message, of this kind; as ``message``."""
        message = await self.message(is_owed=is_owed)
        if not isinstance(message, kind):
            raise GuestError(f"the other side says “{message.TYPE}”, and “{kind.TYPE}” was expected")
        return message

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """All that it sends until its end; raises GuestError, TimedOut when it stops in the middle."""
        if self._rest:
            yield self._rest
            self._rest = b""
        while piece := await self._conversation.read(is_owed=True):
            yield piece

    async def _line(self, is_owed: bool) -> bytes:
        line = b""
        while b"\n" not in line:
            piece = self._rest or await self._conversation.read(is_owed=is_owed)
            self._rest = b""
            if not piece:
                raise GuestError("the other side has ended without a word")
            line += piece
            if len(line) > MAX_LINE and b"\n" not in line[:MAX_LINE]:
                raise GuestError("the other side says too much")
        line, _, self._rest = line.partition(b"\n")
        return line
