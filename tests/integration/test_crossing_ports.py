"""The guest's service program in a real guest, on its real ports; the tests play the broker."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from qubes_manager.backend.guests.guest_tools import tools_digest
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.crossing.guest_messages import Cancel, End, Ended, ErrorText, Ready, Sent, Start
from qubes_manager.core.domain import DomainKey
from tests.integration.conftest import World, remove_domain
from tests.integration.crossing import HostEnd, make_crossing_domain, put_service
from tests.waiting import GUEST_PATIENCE

pytestmark = pytest.mark.guest
FIRST = 1 << 30


@pytest.fixture(scope="session")
def crossing(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[DomainKey]:
    """A running guest that these tests share."""

    async def make() -> DomainKey:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        key = await make_crossing_domain(world, daemon.uri, python_guest, "crossing")
        await put_service(world, key, "test.Cat", "exec cat")
        await put_service(world, key, "test.Zeros", 'head -c "$1" /dev/zero; echo done >&2; exit 5')
        await put_service(world, key, "test.Digest", "sleep 0.5; sha256sum")
        await world.hosts.close()
        return key

    yield asyncio.run(make())
    remove_domain(daemon.uri, "crossing")


@pytest.fixture
async def host(world: World, crossing: DomainKey) -> AsyncIterator[HostEnd]:
    await world.until(lambda: world.store.get(crossing) and world.store.require(crossing).is_read, "it is read")
    with HostEnd(world, crossing) as end:
        yield end


async def receive(port: socket.socket, size: int) -> bytes:
    parts = bytearray()
    async with asyncio.timeout(GUEST_PATIENCE):
        while len(parts) < size and (data := await asyncio.get_running_loop().sock_recv(port, 1 << 20)):
            parts += data
    return bytes(parts)


def start(name: str, argument: str = "", call: int = FIRST, port: int = 0) -> Start:
    return Start(call, name, argument, "work", "@default", port)


async def test_the_guest_says_hello_with_its_tools(host: HostEnd) -> None:
    assert (await host.connect()).tools == tools_digest()


async def test_each_broker_that_comes_is_met(world: World, crossing: DomainKey) -> None:
    for _ in range(3):
        with HostEnd(world, crossing) as host:
            await host.connect()


async def test_bytes_go_both_ways_whole(host: HostEnd) -> None:
    await host.connect()
    data = os.urandom(3 << 20)
    port = await host.data(0)
    host.tell(start("test.Cat"))
    await host.hear(Ready)
    sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(port, data))
    assert await receive(port, len(data)) == data
    await sending
    host.tell(End(FIRST, len(data)))
    assert await host.hear(Sent) == Sent(FIRST, len(data))
    assert await host.hear(Ended) == Ended(FIRST, 0)


async def test_what_a_guest_has_written_is_there_when_it_has_closed_its_end(host: HostEnd) -> None:
    """QEMU and the driver hold it while nobody on the host reads."""
    await host.connect()
    size = 300_000
    port = await host.data(1)
    host.tell(start("test.Zeros", str(size), port=1), End(FIRST, 0))
    await host.hear(Ready)
    await asyncio.sleep(0.5)
    assert await receive(port, size) == bytes(size)
    assert await host.hear(ErrorText) == ErrorText(FIRST, "done\n")
    assert await host.hear(Sent) == Sent(FIRST, size)
    assert await host.hear(Ended) == Ended(FIRST, 5)


async def test_what_the_host_has_sent_is_taken_whole_by_a_slow_service(host: HostEnd) -> None:
    await host.connect()
    data = os.urandom(1 << 20)
    port = await host.data(2)
    host.tell(start("test.Digest", port=2))
    await host.hear(Ready)
    await asyncio.get_running_loop().sock_sendall(port, data)
    host.tell(End(FIRST, len(data)))
    sent = await host.hear(Sent)
    assert hashlib.sha256(data).hexdigest().encode() in await receive(port, sent.size)
    assert (await host.hear(Ended)).code == 0


async def test_a_port_serves_again_after_a_call_that_was_cut_off(host: HostEnd) -> None:
    """Nothing of the old call is in the new one's bytes."""
    await host.connect()
    first = await host.data(3)
    host.tell(start("test.Zeros", "10000000", port=3))
    await host.hear(Ready)
    await receive(first, 1000)
    host.tell(Cancel(FIRST))
    await host.until_closed(3)
    first.close()
    second = await host.data(3)
    host.tell(start("test.Cat", call=FIRST + 1, port=3))
    await host.hear_of(Ready, FIRST + 1)
    await asyncio.get_running_loop().sock_sendall(second, b"fresh")
    assert await receive(second, 5) == b"fresh"
