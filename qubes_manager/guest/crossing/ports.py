"""The guest's ends of the ports, and waiting for them without blocking others.

A port reads end-of-file and polls POLLHUP while no host is connected, and writing to it waits until one is. Who has it
open is its only one; when it is closed the driver throws away what nobody has read (Linux, virtio_console.c).
"""

import asyncio
import os
import select
from collections.abc import Callable
from pathlib import Path

from qubes_manager.guest.crossing.bursts import write_burst

PORTS = Path("/dev/virtio-ports")
# Seconds between two looks for a host that is about to connect: first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
# Opens the port of a name, without waiting for anything; raises OSError.
OpenPort = Callable[[str], int]


class HostGone(Exception):
    """The host has closed its end of a port."""


def open_port(name: str, folder: Path = PORTS) -> int:
    """Open the port *name*; returns its descriptor, which never blocks. Raises OSError."""
    return os.open(folder / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def has_host(port: int) -> bool:
    """Whether a host is connected to the port now; what one has sent that went can still be read."""
    poll = select.poll()
    poll.register(port, 0)
    return not poll.poll(0)


async def open_for_host(
    opener: OpenPort, name: str, timeout: float, is_over: Callable[[], bool] = lambda: False
) -> int:
    """Open a port and wait until its host is there, which has connected before it said so.

    Raises OSError, and TimeoutError after *timeout* seconds or when *is_over*: nobody comes any more.
    """
    port = opener(name)
    try:
        async with asyncio.timeout(timeout):
            pause = _FIRST_PAUSE
            while not has_host(port):
                if is_over():
                    raise TimeoutError
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
    except BaseException:
        os.close(port)
        raise
    return port


async def readable(fd: int, happened: "asyncio.Future[None] | None" = None) -> None:
    """Wait until reading from *fd* would not block; who gives *happened* may end the wait by setting it."""
    loop = asyncio.get_running_loop()
    happened = happened or loop.create_future()
    loop.add_reader(fd, _happen, happened)
    try:
        await happened
    finally:
        loop.remove_reader(fd)


async def writable(fd: int) -> None:
    """Wait until writing to *fd* would not block."""
    loop = asyncio.get_running_loop()
    happened = loop.create_future()
    loop.add_writer(fd, _happen, happened)
    try:
        await happened
    finally:
        loop.remove_writer(fd)


async def read_some(fd: int, size: int) -> bytes:
    """Wait for bytes, and return at most *size* of those that are there; none at the end."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            await readable(fd)


async def port_writable(port: int) -> None:
    """Wait until a port can be written to; raises HostGone."""
    # Without a host it counts as ready for ever, and takes nothing.
    if not has_host(port):
        raise HostGone
    await writable(port)


async def write_all(port: int, data: bytes) -> None:
    """Write all of *data* to a port; raises HostGone."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[write_burst(port, rest) :]
        except BlockingIOError:
            await port_writable(port)
        except OSError as error:
            raise HostGone from error


def _happen(happened: "asyncio.Future[None]") -> None:
    if not happened.done():
        happened.set_result(None)
