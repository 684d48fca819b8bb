"""Takes a domain's questions of DNS to whoever answers this machine's, as they are, and brings the answers back.

The sockets that hear the domain are in its namespace, those that ask are this machine's. So a resolver on the loopback
(systemd-resolved at 127.0.0.53) answers too, though the domain reaches no loopback, and a change of resolver is
followed. Nothing is read of what crosses.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence

from qubes_manager.network.addresses import DNS_PORT
from qubes_manager.network.host import nameserver

# Questions and connections that wait at a time; a guest that has more gets no answer to them.
_MOST_QUESTIONS, _MOST_CONNECTIONS = 256, 16
_PATIENCE, _IDLE = 10.0, 30.0
_MAX_DATAGRAM = 65535
_PIECE = 1 << 14


class DnsRelay:
    """Serves the sockets of a namespace: datagrams and streams of DNS."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._tasks: set[asyncio.Task[None]] = set()
        self._questions = self._connections = 0

    def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        for heard in self._sockets:
            heard.setblocking(False)
            if heard.type == socket.SOCK_DGRAM:
                loop.add_reader(heard, self._hear, heard)
            else:
                self._begin(self._accept(heard))

    def _hear(self, heard: socket.socket) -> None:
        """Take a question; as many as may wait, the rest is lost, as datagrams may be."""
        try:
            question, sender = heard.recvfrom(_MAX_DATAGRAM)
        except OSError:
            return
        if self._questions < _MOST_QUESTIONS:
            self._questions += 1
            self._begin(self._ask(heard, question, sender))

    async def _ask(self, heard: socket.socket, question: bytes, sender: tuple[object, ...]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await _answer(question)
            heard.sendto(answer, sender)
        except (OSError, TimeoutError):
            return
        finally:
            self._questions -= 1

    async def _accept(self, heard: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _sender = await loop.sock_accept(heard)
            except OSError:
                await asyncio.sleep(1)
                continue
            if self._connections >= _MOST_CONNECTIONS:
                connection.close()
                continue
            self._connections += 1
            self._begin(self._join(connection))

    async def _join(self, connection: socket.socket) -> None:
        """Carry bytes both ways until either side ends, or nothing has gone for a while."""
        streams: list[asyncio.StreamWriter] = []
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            streams.append(writer)
            server = nameserver()
            if server is None:
                return
            async with asyncio.timeout(_PATIENCE):
                their_reader, their_writer = await asyncio.open_connection(str(server), DNS_PORT)
            streams.append(their_writer)
            pumps = [asyncio.create_task(_pump(reader, their_writer)), asyncio.create_task(_pump(their_reader, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, TimeoutError):
            return
        finally:
            for stream in streams:
                stream.close()
            self._connections -= 1

    def _begin(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answer(question: bytes) -> bytes:
    """Ask this machine's resolver; raises OSError where it has none."""
    server = nameserver()
    if server is None:
        raise OSError("nobody answers DNS here")
    family = socket.AF_INET if server.version == 4 else socket.AF_INET6
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
        # Connected, so that nobody else's answer is heard.
        asking.connect((str(server), DNS_PORT))
        await loop.sock_sendall(asking, question)
        return await loop.sock_recv(asking, _MAX_DATAGRAM)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        while True:
            async with asyncio.timeout(_IDLE):
                data = await reader.read(_PIECE)
            if not data:
                return
            writer.write(data)
            async with asyncio.timeout(_IDLE):
                await writer.drain()
