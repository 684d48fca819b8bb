"""Guests that say what a test lets them say, behind ports that behave as QEMU's do."""

import asyncio
import contextlib
import json
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qubes_manager.core.crossing.guest_messages import (
    Accepted,
    Call,
    FromGuest,
    Hello,
    Ready,
    Sent,
    Start,
    ToGuest,
    parse_to_guest,
)
from qubes_manager.core.crossing.ports import CROSSING_PORTS, DATA_PORTS, REQUEST_PORT
from qubes_manager.core.events import DomainEventKind
from qubes_manager.core.json_lines import Message
from tests.waiting import soon

Heard = TypeVar("Heard", bound=Message)
Announce = Callable[[DomainEventKind, str], None]


class FakePort:
    """QEMU's end: one client at a time, backlog of one; reads nothing while the guest has it closed.

    What the guest writes while no host is connected is thrown away.
    """

    def __init__(self, path: Path, alias: str, announce: Announce) -> None:
        self.path = path
        self.alias = alias
        self.is_open = False
        self.host: socket.socket | None = None
        self.connections = 0
        self._announce = announce
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._listener.setblocking(False)
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    def open(self) -> None:
        """The guest opens it."""
        self.is_open = True
        self._announce(DomainEventKind.PORT_OPENED, self.alias)

    def close(self) -> None:
        """The guest closes it."""
        if self.is_open:
            self.is_open = False
            self._announce(DomainEventKind.PORT_CLOSED, self.alias)

    async def read(self, size: int) -> bytes:
        """What the host has sent; empty when it has hung up."""
        while self.host is None:
            await asyncio.sleep(0.005)
        try:
            return await asyncio.get_running_loop().sock_recv(self.host, size)
        except OSError:
            return b""

    async def read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await self.read(size - len(data))
            assert piece, f"the host hung up after {len(data)} bytes"
            data += piece
        return data

    async def write(self, data: bytes) -> None:
        """Send to the host, if there is one."""
        if self.host:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(self.host, data)

    async def end(self) -> None:
        """QEMU ends."""
        self._serving.cancel()
        await asyncio.wait({self._serving})
        self._listener.close()
        if self.host:
            self.host.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.host, _address = await loop.sock_accept(self._listener)
            self.host.setblocking(False)
            self.connections += 1
            poll = select.poll()
            poll.register(self.host, select.POLLHUP)
            while not poll.poll(0):
                await asyncio.sleep(0.005)
            self.host.close()
            self.host = None


class FakeGuest:
    """A running domain with the five ports, and what a test wants its tools to say."""

    def __init__(self, folder: Path, uuid: str, name: str, announce: Announce) -> None:
        self.uuid = uuid
        self.name = name
        # What QEMU says of its ports.
        self.announce = announce
        folder.mkdir(exist_ok=True)
        self.ports = {
            port: FakePort(folder / f"{number}", f"channel{number}", announce)
            for number, port in enumerate(CROSSING_PORTS)
        }
        self._rest = b""

    def agentSetResponseTimeout(self, _seconds: int, _flags: int) -> int:
        """For tests that have an agent too."""
        return 0

    def XMLDesc(self, _flags: int = 0) -> str:
        """As libvirt would say."""
        channels = "".join(
            f"<channel><source path='{port.path}'/>"
            f"<target name='{name}' state='{'connected' if port.is_open else 'disconnected'}'/>"
            f"<alias name='{port.alias}'/></channel>"
            for name, port in self.ports.items()
        )
        return f"<domain><devices>{channels}</devices></domain>"

    @property
    def requests(self) -> FakePort:
        return self.ports[REQUEST_PORT]

    def data(self, number: int) -> FakePort:
        return self.ports[DATA_PORTS[number]]

    async def begin(self) -> None:
        """Start the tools, and greet."""
        self._rest = b""
        self.requests.open()
        await self.hear(Hello)
        await self.say(Hello(begins=False))

    async def begin_again(self) -> None:
        """The tools start once more."""
        self.requests.close()
        await self.begin()

    async def say(self, *messages: FromGuest) -> None:
        await self.say_bytes(b"".join(message.to_json().encode() + b"\n" for message in messages))

    async def say_bytes(self, data: bytes) -> None:
        await self.requests.write(data)

    async def hear(self, kind: type[Heard]) -> Heard:
        """The next message, which must be of *kind*; Hello is said again to who is slow to answer."""
        async with soon():
            message = await self.hear_any()
            while isinstance(message, Hello) and kind is not Hello:
                message = await self.hear_any()
        assert isinstance(message, kind), message
        return message

    async def hear_any(self) -> ToGuest:
        while True:
            line, end, rest = self._rest.partition(b"\n")
            if end:
                self._rest = rest
                if line:
                    return parse_to_guest(line)
                continue
            data = await self.requests.read(1 << 16)
            if not data:
                raise EOFError("the host has hung up the request port")
            self._rest += data

    async def hear_until(self, kind: type[Heard]) -> Heard:
        """The next message of *kind*; those before it are passed over."""
        async with soon():
            while not isinstance(message := await self.hear_any(), kind):
                pass
        return message

    async def ask(self, number: int, service: str, target: str, **more: object) -> None:
        """Make a call."""
        await self.say_bytes(json.dumps({**_call(number, service, target), **more}).encode() + b"\n")

    async def open_data(self, number: int, call: int) -> FakePort:
        """Open a data port, as it was told to, and say so."""
        port = self.data(number)
        port.open()
        await self.say(Ready(call))
        return port

    async def accepted(self, call: int) -> FakePort:
        accepted = await self.hear(Accepted)
        assert accepted.call == call
        return await self.open_data(accepted.port, call)

    async def started(self) -> tuple[Start, FakePort]:
        start = await self.hear(Start)
        return start, await self.open_data(start.port, start.call)

    async def send(self, port: FakePort, call: int, data: bytes) -> None:
        await port.write(data)
        await self.say(Sent(call, len(data)))

    async def end(self) -> None:
        for port in self.ports.values():
            await port.end()


def _call(number: int, service: str, target: str) -> dict[str, object]:
    return json.loads(Call(number, service, "", target).to_json())  # type: ignore[no-any-return]


def resident_bytes() -> int:
    """How much memory this process has now (proc(5): statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
