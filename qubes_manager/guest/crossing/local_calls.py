"""Calls that programs of this guest make (``client.py``): each is one client of a socket."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from qubes_manager.core.crossing.guest_messages import (
    FAILED,
    FIRST_STARTED,
    Accepted,
    Call,
    Cancel,
    Ended,
    FromGuest,
    Ready,
    Sent,
    ToGuest,
    parse_from_guest,
)
from qubes_manager.core.crossing.ports import DATA_PORTS
from qubes_manager.core.json_lines import BadMessage, LineBuffer
from qubes_manager.guest.crossing.broker_line import BrokerLine
from qubes_manager.guest.crossing.ports import HostGone, OpenPort, open_for_host

log = logging.getLogger(__name__)
# As many as the broker lets wait or run.
MOST_CLIENTS = 8
# Messages of the broker that a client may leave unread.
_MOST_UNREAD = 64
# Seconds for a client to say what it wants, for the broker to come, and for the host's end of a port.
_REQUEST_TIMEOUT, _BROKER_TIMEOUT, PORT_TIMEOUT = 10.0, 20.0, 60.0
_CHUNK = 1 << 14
# Seconds until clients are listened to again.
_ACCEPT_PAUSE = 0.5


class LocalCalls:
    """The clients that there are now."""

    def __init__(self, line: BrokerLine, opener: OpenPort) -> None:
        self._line = line
        self._opener = opener
        self._calls: dict[int, _LocalCall] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._number = 0

    async def serve(self, path: Path) -> None:
        """Take clients at *path*, for ever."""
        loop = asyncio.get_running_loop()
        with _listen_at(path) as server:
            while True:
                try:
                    client, _address = await loop.sock_accept(server)
                except OSError as error:
                    # Out of descriptors, as it may be for a while; what ended here would end all services too.
                    log.warning("a program of this guest was not listened to: %s", error)
                    await asyncio.sleep(_ACCEPT_PAUSE)
                    continue
                client.setblocking(False)
                if len(self._clients) >= MOST_CLIENTS:
                    _refuse(
                        client, f"{MOST_CLIENTS} calls of this domain wait or run already; wait until one has ended"
                    )
                    continue
                task = asyncio.create_task(self._serve(client))
                self._clients.add(task)
                task.add_done_callback(self._clients.discard)

    def hear(self, message: ToGuest) -> bool:
        """Pass on what the broker says of a call; returns whether it is one of these."""
        call = self._calls.get(getattr(message, "call", -1))
        if call:
            call.hear(message)
        return call is not None

    def lose(self) -> None:
        """The broker has gone, and with it all calls."""
        for call in self._calls.values():
            call.hear(Ended(0, FAILED, "the connection to the host was lost"))

    async def _serve(self, client: socket.socket) -> None:
        number = self._next_number()
        with client:
            call = self._calls[number] = _LocalCall(number, client, self._line.tell, self._opener)
            try:
                await call.run(self._line)
            except (OSError, BadMessage, HostGone) as error:
                log.info("a call of this guest has ended: %s", error or type(error).__name__)
            finally:
                del self._calls[number]

    def _next_number(self) -> int:
        """A number that no call has, nor had one of late: of that the broker may still have something to say."""
        while (number := self._number) in self._calls:
            self._number = (number + 1) % FIRST_STARTED
        self._number = (number + 1) % FIRST_STARTED
        return number


class _LocalCall:
    """One client, from its call to its end; the broker knows it by *number*."""

    def __init__(
        self, number: int, client: socket.socket, tell: Callable[[FromGuest], Awaitable[None]], opener: OpenPort
    ) -> None:
        self._number = number
        self._client = client
        self._tell = tell
        self._opener = opener
        self._heard: asyncio.Queue[ToGuest] = asyncio.Queue(_MOST_UNREAD)
        self._is_given_up = asyncio.Event()
        # The broker has heard of it.
        self._is_told = False
        # The broker has said its last word.
        self._is_over = asyncio.Event()

    def hear(self, message: ToGuest) -> None:
        """What the broker says of it; a client that reads nothing is given up."""
        if not self._is_told:
            # One broker goes while the call waits to be told to the next: that is no end of it.
            return
        if isinstance(message, Ended | Cancel):
            self._is_over.set()
        try:
            self._heard.put_nowait(message)
        except asyncio.QueueFull:
            self._is_given_up.set()

    async def run(self, line: BrokerLine) -> None:
        """Serve the client; raises OSError, BadMessage, HostGone."""
        lines = _Lines(self._client)
        async with asyncio.timeout(_REQUEST_TIMEOUT):
            request = await lines.next()
        if not isinstance(request, Call):
            raise BadMessage("no call came first")
        try:
            await line.meet(_BROKER_TIMEOUT)
            await self._tell(replace(request, call=self._number))
            self._is_told = True
        except (TimeoutError, HostGone):
            await self._pass(Ended(0, FAILED, "nobody on the host carries calls for this domain just now"))
            return
        # Whichever comes to its end first ends the call.
        sides = [
            asyncio.create_task(side)
            for side in (self._follow_broker(), self._follow_client(lines), self._is_given_up.wait())
        ]
        has_ended = False
        try:
            done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            has_ended = sides[0] in done and not sides[0].exception()
            for side in done:
                side.result()
        finally:
            for side in sides:
                side.cancel()
            # The loop looks at the client's descriptor until they have ended; its number may be another one's then.
            await asyncio.wait(sides)
            if not has_ended:
                with contextlib.suppress(HostGone):
                    await self._tell(Cancel(self._number, "the caller has ended it"))

    async def _follow_broker(self) -> None:
        while True:
            message = await self._heard.get()
            if isinstance(message, Accepted):
                await self._hand_over(message)
                continue
            await self._pass(message)
            if isinstance(message, Ended | Cancel):
                return

    async def _hand_over(self, accepted: Accepted) -> None:
        """Open the port and give it to the client; only that has it open then.

        A call that ends before has no host at its port any more: why it ended is what the client is to hear.
        """
        try:
            port = await open_for_host(self._opener, data_port(accepted.port), PORT_TIMEOUT, self._is_over.is_set)
        except (OSError, TimeoutError) as error:
            if self._is_over.is_set():
                return
            await self._pass(
                Ended(0, FAILED, f"the port for the data cannot be opened: {str(error) or 'the host has not'}")
            )
            raise
        try:
            # The first in a socket that is empty: it never waits.
            socket.send_fds(self._client, [_line(accepted)], [port])
        finally:
            os.close(port)
        # Where the broker has gone, its end is in the queue.
        with contextlib.suppress(HostGone):
            await self._tell(Ready(self._number))

    async def _follow_client(self, lines: "_Lines") -> None:
        while (message := await lines.next()) is not None:
            if isinstance(message, Sent):
                await self._tell(Sent(self._number, message.size))
            elif isinstance(message, Cancel):
                await self._tell(Cancel(self._number, message.reason))

    async def _pass(self, message: ToGuest) -> None:
        await asyncio.get_running_loop().sock_sendall(self._client, _line(message))


class _Lines:
    """What a client says, one message after the other."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._buffer = LineBuffer()
        self._waiting: list[bytes] = []

    async def next(self) -> FromGuest | None:
        """The next message; None at the end. Raises BadMessage, OSError."""
        while not self._waiting:
            data = await asyncio.get_running_loop().sock_recv(self._client, _CHUNK)
            if not data:
                return None
            self._waiting = self._buffer.lines(data)
        return parse_from_guest(self._waiting.pop(0))


def data_port(number: int) -> str:
    """The name of a data port; raises OSError for a number that none has."""
    if not 0 <= number < len(DATA_PORTS):
        raise OSError(f"there is no data port {number}")
    return DATA_PORTS[number]


def _listen_at(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen()
    server.setblocking(False)
    return server


def _line(message: ToGuest) -> bytes:
    return message.to_json().encode() + b"\n"


def _refuse(client: socket.socket, reason: str) -> None:
    with client, contextlib.suppress(OSError):
        client.send(_line(Ended(0, FAILED, reason)))
