"""Domains that boot the small guest with Python and the guest tools (``tests/python_guest.py``), and talking to them.

``make_crossing_domain`` makes one; with no broker on the host, a ``HostEnd`` plays it on the real ports.
"""

import asyncio
import socket
import time
from typing import Self, TypeVar

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.guests.guest_port import open_channel, read_port
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.core.crossing.guest_messages import (
    FromGuest,
    Hello,
    ToGuest,
    parse_from_guest,
)
from qubes_manager.core.crossing.ports import DATA_PORTS, REQUEST_PORT
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.json_lines import LineBuffer
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.domain_access import actions_on
from tests.waiting import GUEST_PATIENCE

# Seconds for what a guest in software emulation is to say or do; its start takes most of them.
Kind = TypeVar("Kind", bound=FromGuest)
SERVICES = {
    "test.Upper": "tr a-z A-Z; echo careful >&2; exit 3",
    "test.Digest": "sha256sum",
    "test.Sink": "cat >/dev/null",
    "test.Zeros": "cat /dev/zero",
}


async def make_crossing_domain(
    world: Services,
    uri: str,
    guest: TinyGuest,
    name: str,
    *,
    label: str = "blue",
    memory: int = 384,
    start: bool = True,
) -> DomainKey:
    """Make a domain with *memory* MiB that boots the guest, and start it; it says Hello some seconds later.

    Remove it with ``remove_domain`` of tests/integration/conftest.py. Its files are in memory, and gone with it.
    """
    key = await world.demo.create_one(uri, guest, name, label, frozenset())

    def enlarge(document: DomainEdit) -> None:
        document.set_maximum_memory(memory << 10)
        document.set_initial_memory(memory << 10)

    await actions_on(world.hosts, world.store.require(key)).edit_config(enlarge)
    await world.hosts.refresh(key)
    if start:
        await world.lifecycle.start(key)
    return key


async def put_service(world: Services, key: DomainKey, name: str, script: str) -> None:
    """Put a service of a shell's lines into a running domain, as its user may; waits until its agent answers."""
    place = f"/etc/qubes-rpc/{name}"
    line = f"mkdir -p /etc/qubes-rpc && cat >{place} && chmod 755 {place}"
    assert await world.commands.run(key, line, user="root", data=f"#!/bin/sh\n{script}\n".encode()) == 0


async def prepare(world: Services, *keys: DomainKey) -> None:
    """Put what serves into guests."""
    for key in keys:
        for name, script in SERVICES.items():
            await put_service(world, key, name, script)


class HostEnd:
    """The host's end of one domain's ports; a context manager. Only where no broker has them."""

    def __init__(self, world: Services, key: DomainKey) -> None:
        self._connection = world.hosts.connection(key.connection)
        self._uuid = key.uuid
        self._lines = LineBuffer()
        self._waiting: list[bytes] = []
        self._request: socket.socket
        self._ports: list[socket.socket] = []

    async def connect(self) -> Hello:
        """Take the request port, which the guest opens when its service program runs; returns what that says first."""
        self._request = await self.open(REQUEST_PORT)
        self.tell(Hello())
        hello = await self.hear(Hello)
        return hello if not hello.begins else await self.hear(Hello)

    async def open(self, name: str) -> socket.socket:
        """Connect to a port once the guest has opened it, or at once for data, which it opens when it is told to."""
        end = time.monotonic() + GUEST_PATIENCE
        while True:
            port = await read_port(self._connection, self._uuid, name)
            assert port, name
            if port.is_open or name in DATA_PORTS:
                break
            assert time.monotonic() < end, f"the guest has not opened {name}"
            await asyncio.sleep(0.1)
        found = await open_channel(self._connection, self._uuid, name, port)
        found.setblocking(False)
        self._ports.append(found)
        return found

    async def data(self, number: int) -> socket.socket:
        """Connect to a data port."""
        return await self.open(DATA_PORTS[number])

    def tell(self, *messages: ToGuest) -> None:
        for message in messages:
            start = b"\n" if isinstance(message, Hello) else b""
            self._request.sendall(start + message.to_json().encode() + b"\n")

    async def hear(self, kind: type[Kind]) -> Kind:
        """The next message, which must be of that kind."""
        message = await self._next()
        assert isinstance(message, kind), message
        return message

    async def _next(self) -> FromGuest:
        while not self._waiting:
            async with asyncio.timeout(GUEST_PATIENCE):
                data = await asyncio.get_running_loop().sock_recv(self._request, 1 << 16)
            assert data, "the domain has ended"
            self._waiting = [line for line in self._lines.lines(data) if line]
        return parse_from_guest(self._waiting.pop(0))

    async def hear_of(self, kind: type[Kind], call: int) -> Kind:
        """The next message of that kind and call; what comes before is passed over."""
        while True:
            message = await self._next()
            if isinstance(message, kind) and getattr(message, "call", call) == call:
                return message

    async def until_closed(self, number: int) -> None:
        """Wait until the guest has closed a data port."""
        end = time.monotonic() + GUEST_PATIENCE
        while (port := await read_port(self._connection, self._uuid, DATA_PORTS[number])) and port.is_open:
            assert time.monotonic() < end, f"the guest has not closed data port {number}"
            await asyncio.sleep(0.05)

    def close(self) -> None:
        for port in self._ports:
            port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
