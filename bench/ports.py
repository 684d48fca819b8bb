"""Measures the ports and the guest's service program in small guests: bytes a second, time to Hello, cost while idle.

A raw pipe is ``cat`` in the guest at the port itself; beside it what a service writes and reads through the program.
"""

import asyncio
import functools
import os
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import figures
from qubes_manager.backend.guests.joint import Pump
from qubes_manager.backend.guests.tiny_guest import build_tiny_guest
from qubes_manager.core.crossing.guest_messages import Cancel, Ready, Start
from qubes_manager.core.domain import DomainKey
from tests.conftest import CACHE, own_daemon
from tests.integration.conftest import World
from tests.integration.crossing import HostEnd, make_crossing_domain, put_service
from tests.python_guest import build_python_guest

SECONDS, IDLE_SECONDS = 5.0, 30
_MIB = 1 << 20
_PORT = "/dev/virtio-ports/org.qubes_manager.dat.3"
# Ticks of user and system time, and resident pages, of the service program; clock ticks are 100 a second.
_COST = r"""
pid=$(ps | awk '/python3 .*manager\/[c]rossing/ {print $1; exit}')
cut -d' ' -f14,15 /proc/$pid/stat; cut -d' ' -f2 /proc/$pid/statm
"""

# Moves bytes for a while; returns how many MiB a second.
Move = Callable[[socket.socket], Awaitable[float]]

say = functools.partial(figures.say, "ports")


def main() -> None:
    """Measure and print."""
    with own_daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(daemon.uri, Path(folder)))


async def measure(uri: str, folder: Path) -> None:
    """All figures, in one run."""
    world = World(uri)
    await world.hosts.load(uri)
    guest = await asyncio.to_thread(lambda: build_python_guest(build_tiny_guest(CACHE), CACHE, folder))
    one = await make_crossing_domain(world, uri, guest, "one", start=False)
    began = time.monotonic()
    await world.lifecycle.start(one)
    with HostEnd(world, one) as host:
        await host.connect()
        say("from the start to Hello", time.monotonic() - began, "s")
    await put_service(world, one, "test.Zeros", "exec cat /dev/zero")
    await put_service(world, one, "test.Null", "exec cat >/dev/null")
    two = await make_crossing_domain(world, uri, guest, "two")
    await world.commands.ready(two)
    with HostEnd(world, one) as first, HostEnd(world, two) as second:
        await first.connect()
        await second.connect()
        raw_out = await _raw(world, one, first, f"cat /dev/zero >{_PORT}", _received)
        raw_in = await _raw(world, one, first, f"cat {_PORT} >/dev/null", _sent)
        out = await _served(first, "test.Zeros", 0, _received)
        into = await _served(first, "test.Null", 1, _sent)
        say("guest to host, a raw pipe through a port", raw_out, "MiB/s")
        say("guest to host, what a service writes", out, "MiB/s", f"{out / raw_out:.2f} of the raw pipe")
        say("host to guest, a raw pipe through a port", raw_in, "MiB/s")
        say("host to guest, what a service reads", into, "MiB/s", f"{into / raw_in:.2f} of the raw pipe")
        say("guest to guest, a raw pipe through two ports", await between(world, (one, first), (two, second)), "MiB/s")
        before = await _cost(world, one)
        await asyncio.sleep(IDLE_SECONDS)
        after = await _cost(world, one)
        say("the service program while nothing happens", 100 * (after[0] - before[0]) / IDLE_SECONDS, "% CPU")
        say("its memory (resident)", after[1], "MiB")
    for key in (one, two):
        await world.lifecycle.kill(key)
    await world.hosts.close()


async def _raw(world: World, key: DomainKey, host: HostEnd, line: str, move: Move) -> float:
    port = await host.data(3)
    work = asyncio.create_task(world.commands.run(key, line, user="root"))
    rate = await move(port)
    work.cancel()
    await asyncio.wait({work})
    await host.until_closed(3)
    port.close()
    return rate


async def _served(host: HostEnd, name: str, number: int, move: Move) -> float:
    port = await host.data(number)
    call = (1 << 30) + number
    host.tell(Start(call, name, "", "two", "@default", number))
    await host.hear_of(Ready, call)
    rate = await move(port)
    host.tell(Cancel(call))
    await host.until_closed(number)
    port.close()
    return rate


async def between(world: World, source: tuple[DomainKey, HostEnd], target: tuple[DomainKey, HostEnd]) -> float:
    """MiB/s that ``cat`` writes in one guest and ``cat`` reads in another, joined as the broker joins them."""
    ends = [await host.data(3) for _key, host in (source, target)]
    work = [
        asyncio.create_task(world.commands.run(source[0], f"cat /dev/zero >{_PORT}", user="root")),
        asyncio.create_task(world.commands.run(target[0], f"cat {_PORT} >/dev/null", user="root")),
    ]
    pump = Pump(ends[0], ends[1], "one", "two", 1 << 50)
    while not pump.moved:
        await asyncio.sleep(0.01)
    before, began = pump.moved, time.monotonic()
    await asyncio.sleep(SECONDS)
    rate = (pump.moved - before) / (time.monotonic() - began) / _MIB
    pump.close()
    for task in work:
        task.cancel()
    await asyncio.wait(work)
    return rate


async def _received(port: socket.socket) -> float:
    """MiB/s that come, from the first byte on."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(port, 1)
    began, size = time.monotonic(), 0
    while (spent := time.monotonic() - began) < SECONDS:
        size += len(await loop.sock_recv(port, 1 << 20))
    return size / spent / _MIB


async def _sent(port: socket.socket) -> float:
    """MiB/s that are taken, once all that lies between is full."""
    loop, data = asyncio.get_running_loop(), os.urandom(1 << 16)
    for _ in range(32):
        await loop.sock_sendall(port, data)
    began, size = time.monotonic(), 0
    while (spent := time.monotonic() - began) < SECONDS:
        await loop.sock_sendall(port, data)
        size += len(data)
    return size / spent / _MIB


async def _cost(world: World, key: DomainKey) -> tuple[float, float]:
    """CPU seconds and MiB of the service program."""
    said = bytearray()
    assert await world.commands.run(key, _COST, user="root", out=said.extend) == 0
    user, system, pages = map(int, said.split())
    return (user + system) / 100, pages * 4096 / _MIB


if __name__ == "__main__":
    main()
