"""One connection to a program that serves."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from qubes_manager.core.json_lines import Message

log = logging.getLogger(__name__)

# Bytes that wait for a client to read them, beyond what the kernel keeps for it.
MAX_UNREAD = 256 << 10


class Client:
    """Who is connected: its lines come in, messages go out. One that does not read them is dropped."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def lines(self) -> AsyncIterator[bytes]:
        """What it says, line by line, until it hangs up, is dropped, or says a line beyond the reader's limit."""
        try:
            while line := await self._reader.readline():
                yield line
        except ConnectionError:
            return
        except ValueError as error:
            log.warning("a client is dropped: %s", error)

    def send(self, message: Message) -> None:
        """Send a message without waiting until it is read."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            log.warning("a client does not read what it is told, and is dropped")
            self._writer.transport.abort()
            return
        self._writer.write(message.to_json().encode() + b"\n")

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
