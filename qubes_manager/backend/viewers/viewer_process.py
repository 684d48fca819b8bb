"""A viewer in its sandbox: told what to do on its standard input, telling what happens on its standard output."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from qubes_manager.backend.viewers.sandbox import viewer_command
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import one_line

# A guest can make its viewer talk without end; what is kept on the disk is bounded.
_LOG_BYTES, _LOG_FILES = 1 << 20, 1
_LINE = 64 << 10
_END_PATIENCE = 3.0


class ViewerProcess:
    """One running viewer. ``start`` makes it, ``end`` ends it; it also ends with this program."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._last = ""
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
                limit=_LINE,
            )
        finally:
            for end in sockets:
                end.close()
        return cls(process, log)

    @property
    def last_line(self) -> str:
        """The last thing it complained of."""
        return self._last

    def tell(self, line: str) -> None:
        """Send it a line; one that has ended hears nothing."""
        if self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(line.encode() + b"\n")

    async def events(self) -> AsyncIterator[Mapping[str, object]]:
        """What it tells, until it ends; what makes no sense is passed over, since a guest may have got at it."""
        stream = self._process.stdout
        assert stream
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # a line beyond the limit
            if not line:
                return
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event

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
            while data := await stream.read(_LINE):
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
