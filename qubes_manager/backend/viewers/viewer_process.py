"""A viewer in its sandbox: orders go to its standard input, what happens comes on its standard output."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from qubes_manager.backend.viewers.programs import ViewerProgram
from qubes_manager.backend.viewers.readers import way_to_readers
from qubes_manager.backend.viewers.sandbox import viewer_command
from qubes_manager.core.crossing.rate import Rate
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.core.text import one_line
from qubes_manager.core.viewer_messages import Order, ViewerEvent, parse_event

log = logging.getLogger(__name__)
# A guest can make its viewer talk without end; what is kept on the disk is bounded.
_LOG_BYTES, _LOG_FILES = 1 << 20, 1
_CHUNK = 16 << 10
# Events, and bytes of its log, that are taken in a second, and at once. What it says beyond that waits in its pipe, and
# so does it: one that was taken over costs this program, which has the windows of all domains, next to nothing.
_EVENTS = (50, 200)
_LOGGED = (16 << 10, 256 << 10)
# Lines that make no sense are logged up to this number: a guest must not fill the service's own log.
_MAX_COMPLAINTS = 10
_END_PATIENCE = 3.0
# Seconds between chunks of what is thrown away.
_PAUSE = 0.05


class ViewerProcess:
    """One running viewer. ``start`` makes it, ``end`` ends it; it also ends with this program."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._last = ""
        self._complaints = 0
        # What it says is read by one at a time.
        self._turn = asyncio.Lock()
        self._reader = asyncio.get_running_loop().create_task(self._keep_log())

    @classmethod
    async def start(
        cls, program: ViewerProgram, arguments: Sequence[str], log: Path, sockets: Sequence[socket.socket] = ()
    ) -> "ViewerProcess":
        """Start a viewer. It inherits the *sockets*, by number; this program closes its own copies of them.

        Raises NotFound, Refused, QubesManagerError.
        """
        async with contextlib.AsyncExitStack() as open_files:
            for end in sockets:
                open_files.enter_context(contextlib.closing(end))
            readers = await open_files.enter_async_context(way_to_readers(os.environ)) if program.is_ours else None
            command = open_files.enter_context(viewer_command(program, arguments, readers=readers))
            process = await asyncio.create_subprocess_exec(
                *command.words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=[*command.files, *(end.fileno() for end in sockets)],
                limit=MAX_LINE,
            )
        return cls(process, log)

    @property
    def last_line(self) -> str:
        """The last thing it complained of."""
        return self._last

    def send(self, order: Order) -> None:
        """Send it an order; one that has ended hears nothing."""
        if self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(order.to_json().encode() + b"\n")

    async def events(self) -> AsyncIterator[ViewerEvent]:
        """What it reports, until it ends; what makes no sense is passed over, since a guest may have got at it."""
        stream = self._process.stdout
        assert stream
        rate = Rate(*_EVENTS)
        while True:
            await asyncio.sleep(rate.spend())
            try:
                async with self._turn:
                    line = await stream.readline()
                if not line:
                    return
                event = parse_event(line)
            except ValueError:
                self._complain(f"a line of more than {MAX_LINE} bytes")
            except BadMessage as error:
                self._complain(str(error))
            else:
                yield event

    def _complain(self, what: str) -> None:
        self._complaints += 1
        if self._complaints <= _MAX_COMPLAINTS:
            log.warning("the viewer %d said what is not understood: %s", self._process.pid, what)

    async def end(self) -> int:
        """End it, kindly at first, and return its exit code; when this is cancelled it is killed."""
        if self._process.stdin:
            self._process.stdin.close()
        # To asyncio a process has ended when all that it wrote has been read, too (Python 3.11).
        rest = asyncio.get_running_loop().create_task(self._pass_over())
        try:
            async with asyncio.timeout(_END_PATIENCE):
                code = await self._process.wait()
        except TimeoutError:
            self._kill()
            code = await self._process.wait()
        except BaseException:
            self._kill()
            await self._process.wait()
            raise
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(rest, self._reader)
        return code

    async def _pass_over(self) -> None:
        stream = self._process.stdout
        assert stream
        async with self._turn:
            while await stream.read(_CHUNK):  # noqa: ASYNC110 - nothing is waited for: it is read slowly
                await asyncio.sleep(_PAUSE)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _keep_log(self) -> None:
        stream = self._process.stderr
        assert stream
        handler = _log_handler(self._log)
        rate = Rate(*_LOGGED)
        try:
            while data := await stream.read(_CHUNK):
                text = data.decode("utf-8", "replace")
                handler.emit(logging.makeLogRecord({"msg": text.rstrip("\n")}))
                lines = [line for line in text.splitlines() if line.strip()]
                self._last = one_line(lines[-1], 300) if lines else self._last
                if self._process.returncode is None:
                    await asyncio.sleep(rate.spend(len(data)))
        finally:
            handler.close()


def _log_handler(path: Path) -> logging.Handler:
    """Where a viewer's complaints are kept; nowhere when that cannot be, since they have to be read all the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
    except OSError as error:
        log.warning("the log %s cannot be written: %s", path, error.strerror)
        return logging.NullHandler()
