"""Another of our programs, as who needs it sees it: starts it where there is none, asks it, hears its news."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.json_lines import BadMessage, Message

# Seconds that it may take to answer, as on a machine whose guests all boot, and that one that serves may take to end.
_START_PATIENCE, END_PATIENCE = 60.0, 20.0
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Program:
    """What the program is called in sentences, the words that start it, the socket where it listens (blocks).

    *line_limit*: bytes of a line that it may say.
    """

    title: str
    words: Sequence[str]
    find: Callable[[], Path]
    line_limit: int

    async def start(self) -> "subprocess.Popen[bytes] | None":
        """Start it where there is none, and do not wait for it; returns what was started."""
        if await _answers(await asyncio.to_thread(self.find)):
            return None
        return await asyncio.to_thread(self._spawn)

    async def ensure(self) -> None:
        """Start it where there is none, and wait until it answers; raises QubesManagerError."""
        if not (started := await self.start()):
            return
        path = await asyncio.to_thread(self.find)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_PATIENCE):
                is_over = False
                while not is_over:
                    # Looked at first: one that ends since there is another one leaves that to answer.
                    is_over = started.poll() is not None
                    if await _answers(path):
                        return
                    await asyncio.sleep(_PAUSE)
        raise QubesManagerError(f"{self.title} does not start; its log has more")

    async def end(self) -> bool:
        """Have it end, of whatever version it is; returns whether there was one. Raises QubesManagerError."""
        path = await asyncio.to_thread(self.find)
        pid = await listener(path)
        if not pid:
            return False
        os.kill(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(END_PATIENCE):
                # Who needs it starts another one.
                while await listener(path) == pid:  # noqa: ASYNC110 - nothing tells of a socket that goes
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            raise QubesManagerError(f"{self.title} (process {pid}) does not end") from None
        return True

    def not_understood(self, trouble: object) -> BadMessage:
        """What to raise when it says something that this program does not understand; says what to do."""
        return BadMessage(of_another_version(self.words, trouble))

    async def ask(self, requests: Sequence[Message], patience: float | None) -> bytes | None:
        """Send requests one after the other and return the last one's answer; None where the program does not run.

        *patience* is in seconds, for each answer; None waits until the program ends (Qt's timers end at 24 days).
        Raises QubesManagerError when it does not answer.
        """
        path = await asyncio.to_thread(self.find)
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=self.line_limit)
        except OSError:
            return None
        line = b""
        try:
            for request in requests:
                writer.write(request.to_json().encode() + b"\n")
                async with asyncio.timeout(patience):
                    line = await self._read_line(reader)
        except TimeoutError:
            raise QubesManagerError(f"{self.title} does not answer") from None
        except OSError:
            line = b""
        finally:
            writer.close()
        if not line:
            raise QubesManagerError(f"{self.title} ended before it answered; its log has more")
        return line

    async def news(self, requests: Sequence[Message]) -> AsyncGenerator[bytes, None]:
        """Send requests, and give all that it says from then on, until it ends; raises OSError, BadMessage."""
        path = await asyncio.to_thread(self.find)
        reader, writer = await asyncio.open_unix_connection(path, limit=self.line_limit)
        try:
            writer.writelines(request.to_json().encode() + b"\n" for request in requests)
            while line := await self._read_line(reader):
                yield line
        finally:
            writer.close()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        # It lives on when this program ends.
        return subprocess.Popen(
            [sys.executable, "-m", "qubes_manager", *self.words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    async def _read_line(self, reader: asyncio.StreamReader) -> bytes:
        """The next line, empty at the end; raises BadMessage when it is too long."""
        try:
            return await reader.readline()
        except ValueError:
            raise BadMessage(f"{self.title} sent more than {self.line_limit} bytes in a line") from None


async def _answers(path: Path) -> bool:
    return bool(await listener(path))


def of_another_version(words: Sequence[str], trouble: object) -> str:
    """What to say when the program that *words* start, and who talks to it, do not understand each other."""
    command = shlex.join(["qubes-manager", *words, "--stop"])
    return (
        f"two programs of different versions of qubes-manager run, and do not understand each other ({trouble}): "
        f"“{command}” ends the one that serves, which starts anew when it is needed"
    )


async def listener(path: Path) -> int:
    """The process that listens at *path* (unix(7): SO_PEERCRED); 0 where nobody does."""
    try:
        _reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return 0
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    writer.close()
    return int(struct.unpack("iII", credentials)[0])
