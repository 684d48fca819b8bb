"""The talk with the host's broker through the request port; begins anew whenever either side does."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import stat
from collections.abc import Callable

from qubes_manager.core.crossing.guest_messages import FromGuest, Hello, ToGuest, parse_to_guest
from qubes_manager.core.crossing.ports import REQUEST_PORT
from qubes_manager.core.crossing.rate import Rate
from qubes_manager.core.json_lines import BadMessage, LineBuffer
from qubes_manager.guest.crossing.bursts import Burst
from qubes_manager.guest.crossing.ports import HostGone, OpenPort, has_host, readable, write_all

log = logging.getLogger(__name__)
# Messages that may be sent in a second, and at once after a rest; the broker reads no faster.
RATE, BURST = 20.0, 40
_CHUNK = 1 << 14
# The driver raises SIGIO when a host comes; a signal that was missed costs this many seconds.
_LONGEST_WAIT = 5.0
# Seconds between two attempts to open the port: first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class BrokerLine:
    """*on_message* hears all but Hello, *on_lost* that all calls are gone with the broker that knew of them.

    *tools* is the digest of these programs.
    """

    def __init__(
        self, opener: OpenPort, tools: str, on_message: Callable[[ToGuest], object], on_lost: Callable[[], object]
    ) -> None:
        self._opener = opener
        self._tools = tools
        self._on_message = on_message
        self._on_lost = on_lost
        self._port = -1
        self._met = asyncio.Event()
        # Whose turn it is to send; and one line after the other.
        self._turn, self._writing = asyncio.Lock(), asyncio.Lock()
        self._rate = Rate(RATE, BURST)

    async def run(self) -> None:
        """Talk to whatever broker comes, for ever."""
        pause = _FIRST_PAUSE
        while True:
            with contextlib.suppress(OSError):
                self._port = self._opener(REQUEST_PORT)
                pause = _FIRST_PAUSE
                try:
                    await self._serve()
                finally:
                    os.close(self._port)
                    self._port = -1
                    self._lose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def tell(self, message: FromGuest) -> None:
        """Send a message when it is its turn; raises HostGone without a broker."""
        async with self._turn:
            await asyncio.sleep(self._rate.spend())
            if not self._met.is_set():
                raise HostGone
            await self._send(message)

    async def meet(self, timeout: float) -> None:
        """Wait until there is a broker; raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._met.wait()

    async def _serve(self) -> None:
        """Talk to one broker after the other through the open port.

        A device stays open between them: what the next one has said by then would be thrown away otherwise.
        """
        is_device = stat.S_ISCHR(os.fstat(self._port).st_mode)
        while True:
            await self._wait_for_host()
            with contextlib.suppress(HostGone):
                await self._send(Hello(tools=self._tools))
                await self._listen()
            self._lose()
            if not is_device:
                return

    async def _listen(self) -> None:
        """Hear what the broker says until it has gone; Hello is said again until it is answered."""
        lines, burst = LineBuffer(), Burst(_CHUNK)
        while True:
            data = burst.read(self._port, _CHUNK)
            if data is None:
                try:
                    async with asyncio.timeout(None if self._met.is_set() else _LONGEST_WAIT):
                        await readable(self._port)
                except TimeoutError:
                    await self._send(Hello(tools=self._tools))
                continue
            if not data:
                return
            for line in filter(None, lines.lines(data)):
                await self._hear(line)
            # What waits is others' turn: a broker that talks without end must not stop the rest.
            await asyncio.sleep(0)

    async def _hear(self, line: bytes) -> None:
        try:
            message = parse_to_guest(line)
        except BadMessage as error:
            log.warning("the host said what is no message: %s", error)
            return
        if isinstance(message, Hello):
            if message.begins:
                self._lose()
                await self._send(Hello(tools=self._tools, begins=False))
            self._met.set()
        elif self._met.is_set():
            self._on_message(message)

    async def _send(self, message: FromGuest) -> None:
        start = b"\n" if isinstance(message, Hello) else b""
        async with self._writing:
            await write_all(self._port, start + message.to_json().encode() + b"\n")

    def _lose(self) -> None:
        if self._met.is_set():
            self._met.clear()
            self._on_lost()

    async def _wait_for_host(self) -> None:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGIO, came.set)
        flags = fcntl.fcntl(self._port, fcntl.F_GETFL)
        fcntl.fcntl(self._port, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._port, fcntl.F_SETFL, flags | os.O_ASYNC)
        try:
            while not has_host(self._port):
                came.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LONGEST_WAIT):
                        await came.wait()
        finally:
            # Otherwise each message would raise it.
            fcntl.fcntl(self._port, fcntl.F_SETFL, flags)
