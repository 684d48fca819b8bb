"""Being a program that serves others: one at a time, one answer a request, gone when nobody needs it."""

import asyncio
import contextlib
import fcntl
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TextIO

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.json_lines import BadMessage, Message
from qubes_manager.core.service_messages import MAX_SENTENCE, Failed
from qubes_manager.core.text import one_line
from qubes_manager.services.programs.client import Client
from qubes_manager.services.programs.program import END_PATIENCE, listener, of_another_version

log = logging.getLogger(__name__)
Identity = tuple[int, int]
# Seconds between two looks whether another one has ended, …
_PAUSE = 0.1
# … whether this program can still be found.
_LOST = 10.0
# Requests of one client that are read ahead of their answers.
_AHEAD = 64


class Serving:
    """A socket and who is connected to it.

    *words* start the program (``broker --connect URI``). *answer* is called with each line of a client, one after the
    other, and what it raises becomes ``Failed``; it is cancelled when the client hangs up, for whom nobody waits any
    more. *left* hears of clients that have gone. When there are no clients and *is_idle* holds, ``ended`` is set after
    *grace* seconds.
    """

    def __init__(
        self,
        words: Sequence[str],
        answer: Callable[[Client, bytes], Awaitable[Message]],
        left: Callable[[Client], object],
        is_idle: Callable[[], bool],
        grace: float,
    ) -> None:
        self._words = words
        self._answer = answer
        self._left = left
        self._is_idle = is_idle
        self._grace = grace
        self._clients: set[Client] = set()
        self.ended = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self, path: Path, line_limit: int) -> AsyncIterator[None]:
        """Listen at *path* while the block runs; lines have at most *line_limit* bytes. Needs ``only_one``."""
        _clear(path)
        server = await asyncio.start_unix_server(self._serve, path, limit=line_limit)
        own = _identity(path)
        looking = asyncio.get_running_loop().create_task(self._end_when_lost(path, own))
        try:
            self.end_when_idle()
            yield
        finally:
            # From here on a new one may be started: this one must not be found any more.
            looking.cancel()
            server.close()
            if _is_there(path, own):
                _clear(path)

    async def _end_when_lost(self, path: Path, own: Identity) -> None:
        """End when nobody can find this program any more: the next one needs what it holds."""
        while await asyncio.to_thread(_is_there, path, own):  # noqa: ASYNC110 - nothing tells of a file that goes
            await asyncio.sleep(_LOST)
        log.warning("%s is gone, and with it the way to this program, which ends", path)
        self.ended.set()

    def end_when_idle(self) -> None:
        """Look whether anybody needs this program; to be called when that may have changed."""
        if self._nobody_needs_it():
            asyncio.get_running_loop().call_later(self._grace, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._nobody_needs_it():
            self.ended.set()

    def _nobody_needs_it(self) -> bool:
        return not self._clients and self._is_idle()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        self._clients.add(client)
        lines = asyncio.Queue[bytes](_AHEAD)
        answering = asyncio.get_running_loop().create_task(self._answer_all(client, lines))
        try:
            # Read while a request is answered: that it hangs up would not be noticed else.
            async for line in client.lines():
                await lines.put(line)
        finally:
            self._clients.discard(client)
            answering.cancel()
            self._left(client)
            await asyncio.wait({answering})
            await client.close()
            self.end_when_idle()

    async def _answer_all(self, client: Client, lines: "asyncio.Queue[bytes]") -> None:
        while True:
            client.send(await self._answer_or_fail(client, await lines.get()))

    async def _answer_or_fail(self, client: Client, line: bytes) -> Message:
        try:
            return await self._answer(client, line)
        except BadMessage as error:
            log.warning("a request is not understood: %s", error)
            return Failed(one_line(of_another_version(self._words, error), MAX_SENTENCE))
        except (QubesManagerError, OSError) as error:
            log.warning("a request failed: %s", error)
            return Failed(one_line(str(error), MAX_SENTENCE))
        except Exception:
            log.exception("a request failed")
            return Failed("a fault of the program; its log has more")


@contextlib.asynccontextmanager
async def only_one(path: Path) -> AsyncIterator[bool]:
    """Whether this is the only program that serves at *path*, which it then stays while the block runs.

    One that is ending is found by nobody any more: it is waited for, so that who started this one is served.
    """
    with path.with_suffix(".lock").open("w") as lock:
        yield await _hold(lock, path)


async def _hold(lock: TextIO, path: Path) -> bool:
    end = asyncio.get_running_loop().time() + END_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if await listener(path) or asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(_PAUSE)
        else:
            return True


def _clear(path: Path) -> None:
    path.unlink(missing_ok=True)


def _identity(path: Path) -> Identity:
    """What a file is known by, whatever its name; raises OSError."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _is_there(path: Path, own: Identity) -> bool:
    """Whether the file is still the one that it was, or cannot be looked at just now."""
    try:
        return _identity(path) == own
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
