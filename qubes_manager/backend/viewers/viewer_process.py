"""A viewer in its sandbox: orders go to its standard input, what happens comes on its standard output."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from qubes_manager.backend.viewers.sandbox import viewer_command
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.json_lines import MAX_LINE, BadMessage
from qubes_manager.core.text import one_line
from qubes_manager.core.viewer_messages import Order, ViewerEvent, parse_event

log = logging.getLogger(__name__)
# A guest can make its viewer talk without end; what is kept on the disk is bounded.
_LOG_BYTES, _LOG_FILES = 1 << 20, 1
_CHUNK = 64 << 10
# Lines that make no sense are logged up to this number: a guest must not fill the service's own log.
_MAX_COMPLAINTS = 10
_END_PATIENCE = 3.0


class ViewerProcess:
    """One running viewer. ``start`` makes it, ``end`` ends it; it also ends with this program."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._last = ""
        self._complaints = 0
        self._reader = asyncio.get_running_loop().create_task(self._keep_log())

    @classmethod
    async def start(
        cls, program: str, arguments: Sequence[str], log: Path, sockets: Sequence[socket.socket] = ()
    ) -> "ViewerProcess":
        """Start a viewer. It inherits the *sockets*, by number; this program closes its own copies of them.

        Raises NotFound, Refused.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *viewer_command(program, arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=[end.fileno() for end in sockets],
                limit=MAX_LINE,
            )
        finally:
            for end in sockets:
                end.close()
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
        while True:
            try:
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
        """End it, kindly at first, and return its exit code."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_PATIENCE):
                code = await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            code = await self._process.wait()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        return code

    async def _keep_log(self) -> None:
        stream = self._process.stderr
        assert stream
        handler = _log_handler(self._log)
        try:
            while data := await stream.read(_CHUNK):
                text = data.decode("utf-8", "replace")
                handler.emit(logging.makeLogRecord({"msg": text.rstrip("\n")}))
                lines = [line for line in text.splitlines() if line.strip()]
                self._last = one_line(lines[-1], 300) if lines else self._last
        finally:
            handler.close()


def _log_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
    except OSError as error:
        raise QubesManagerError(f"the log {path} cannot be written: {error.strerror}") from error
