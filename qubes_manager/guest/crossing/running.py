"""A service that runs here for another domain: its handler, and the bytes between that and the data port."""

import asyncio
import codecs
import contextlib
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine

from qubes_manager.core.crossing.guest_messages import (
    End,
    Ended,
    ErrorText,
    FromGuest,
    Ready,
    Sent,
    StandsStill,
    Start,
    parse_from_guest,
)
from qubes_manager.core.json_lines import LineBuffer
from qubes_manager.core.text import strip_escapes
from qubes_manager.guest.crossing.bursts import Burst
from qubes_manager.guest.crossing.ports import (
    HostGone,
    read_some,
    readable,
    writable,
    write_all,
)
from qubes_manager.guest.crossing.processes import Process

# Bytes that are taken at a time from either side; a handler's pipes hold as many.
CHUNK = 1 << 18
# Bytes of an error text in one message, each of which JSON may write with six; those of a whole call; and seconds
# between two messages.
_ERROR_PART, MAX_ERRORS, _ERROR_PAUSE = 2400, 32 << 10, 0.25
# Seconds that a handler has to end when it is told to, and that what it left behind may keep its output open, silent.
_GRACE, _SILENCE = 2.0, 1.0
Tell = Callable[[FromGuest], Awaitable[None]]


class Running:
    """One call that is served. ``run`` is its whole life; when that is cancelled the handler's group is killed.

    The handler's pipes are joined to the port here, but for one that has the port itself: that reads and writes as a
    caller's command does (``Conversation``), is told the end of its input, and says how many bytes it has sent.
    """

    def __init__(self, start: Start, tell: Tell) -> None:
        self._call = start.call
        self._tell = tell
        self._port = -1
        self._link: socket.socket | None = None
        self._total: int | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._received = self._sent = 0

    def end_of_input(self, size: int) -> None:
        """The caller sends *size* bytes in all."""
        self._total = size
        if self._link:
            self._tell_end(self._link)
        if self._arrival and not self._arrival.done():
            self._arrival.set_result(None)

    def tell_of_stillness(self) -> None:
        """The caller's domain stands still: a handler that waits for it itself has to know."""
        if self._link:
            _tell(self._link, StandsStill(self._call))

    async def run(self, port: int, process: Process) -> None:
        """Serve the call through *port*, which is closed in the end as the process's pipes are. Raises HostGone."""
        self._port = port
        code: int | None = None
        errors = asyncio.create_task(self._tell_errors(process.stderr))
        if process.link:
            output = asyncio.create_task(self._follow(process.link))
            pumps, source = [output, errors], process.link.fileno()
        else:
            output = asyncio.create_task(self._drain(process.stdout))
            pumps, source = [asyncio.create_task(self._feed(process)), output, errors], process.stdout
        try:
            await self._tell(Ready(self._call))
            await _until_ended(process, pumps)
            code = process.wait()
            await _last_words(output, source)
            await _last_words(errors, process.stderr)
            await self._tell(Sent(self._call, self._sent))
        finally:
            await _in_any_case(_clear_up(pumps, port, process, is_over=code is not None))
        await self._tell(Ended(self._call, code))

    async def _follow(self, link: socket.socket) -> None:
        """Hear from a handler that has the port how many bytes it has sent, which is the last that it says.

        One that was killed does not: to the broker it has sent more than it says then, unless that is nothing.
        """
        self._link = link
        if self._total is not None:
            self._tell_end(link)
        lines = LineBuffer()
        while data := await read_some(link.fileno(), CHUNK):
            for line in lines.lines(data):
                if isinstance(message := parse_from_guest(line), Sent):
                    self._sent = message.size

    def _tell_end(self, link: socket.socket) -> None:
        _tell(link, End(self._call, self._total or 0))

    async def _feed(self, process: Process) -> None:
        """Pass on what comes; when the handler takes no more it is thrown away, so that the caller does not wait."""
        burst = Burst(CHUNK)
        while self._total is None or self._received < self._total:
            most = CHUNK if self._total is None else min(CHUNK, self._total - self._received)
            data = burst.read(self._port, most)
            if data is None:
                self._arrival = asyncio.get_running_loop().create_future()
                await readable(self._port, self._arrival)
                continue
            if not data:
                raise HostGone
            self._received += len(data)
            await _pass_on(process, data)
        process.end_input()

    async def _drain(self, stdout: int) -> None:
        """Pass on what the handler writes."""
        while True:
            if not (data := await read_some(stdout, CHUNK)):
                return
            await write_all(self._port, data)
            self._sent += len(data)

    async def _tell_errors(self, stderr: int) -> None:
        """Tell what the handler says to its standard error; beyond a bound it is thrown away."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        left = MAX_ERRORS
        while True:
            data = await read_some(stderr, _ERROR_PART)
            text = strip_escapes(decoder.decode(data[:left], final=not data))
            left = max(0, left - len(data))
            if text:
                await self._tell(ErrorText(self._call, text))
                await asyncio.sleep(_ERROR_PAUSE)
            if not data:
                return


def _tell(link: socket.socket, message: End | StandsStill) -> None:
    # It may have ended meanwhile.
    with contextlib.suppress(OSError):
        link.sendall(message.to_json().encode() + b"\n")


async def _clear_up(pumps: list["asyncio.Task[None]"], port: int, process: Process, *, is_over: bool) -> None:
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    os.close(port)
    if not is_over:
        await _end(process)
    process.close()


async def _in_any_case(work: Coroutine[object, object, None]) -> None:
    """Do *work* to its end, though who does it is cancelled meanwhile: a broker that dies closes all ports at once."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _until_ended(process: Process, pumps: list["asyncio.Task[None]"]) -> None:
    """Wait until the handler has ended; raises HostGone when the bytes cannot go on."""
    ended = asyncio.create_task(readable(process.ended))
    waiting = {ended, *pumps}
    try:
        while not ended.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        ended.cancel()


async def _last_words(pump: "asyncio.Task[None]", stream: int) -> None:
    """Let a pump pass on what is left. What the handler started may keep its end open: silence is the end then."""
    while not pump.done():
        await asyncio.wait({pump}, timeout=_SILENCE)
        if not pump.done() and not _has_bytes(stream):
            return
    pump.result()


async def _end(process: Process) -> None:
    """End the handler and what it started, at once but for a moment to clear up."""
    process.kill(signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await readable(process.ended)
    process.kill(signal.SIGKILL)
    await readable(process.ended)
    process.wait()


async def _pass_on(process: Process, data: bytes) -> None:
    rest = memoryview(data)
    while rest and process.stdin >= 0:
        try:
            rest = rest[os.write(process.stdin, rest) :]
        except BlockingIOError:
            await writable(process.stdin)
        except OSError:
            process.end_input()


def _has_bytes(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])
