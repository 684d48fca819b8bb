"""A port of a running domain: a virtio-serial channel, or a serial console, that is a socket on its host.

Such a socket takes one client at a time, and the next ones wait in its backlog, which is one long (QEMU's chardev).
When that is full, connect(2) waits, and libvirt calls it while it holds the domain: from then on it answers nobody.
So a port that is taken is never opened a second time, on this machine not through libvirt, and never unless it is held.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.local import is_local
from qubes_manager.backend.connection.stream_relay import Opener, relay_stream
from qubes_manager.backend.xml import parse
from qubes_manager.core.errors import HostCallFailed

# Seconds that QEMU may take to see that its last client has gone, and between two looks.
_LEAVING, _PAUSE = 1.0, 0.05
# Of /proc/net/unix: a socket that listens (__SO_ACCEPTCON); the others at its path are clients', waiting ones too.
_LISTENS = 0x10000
_LINE = re.compile(r"\S+: \S+ \S+ (\S+) \S+ \S+ +\S+ (.+)")


@dataclass(frozen=True, slots=True)
class GuestPort:
    """The port's alias in libvirt's events, its socket on the host, and whether the guest has opened it."""

    alias: str
    path: str
    is_open: bool


async def read_port(connection: LibvirtConnection, uuid: str, name: str) -> GuestPort | None:
    """Return the channel *name* of a running domain; None when it has none. Raises NotFound, HostCallFailed."""
    return (await read_ports(connection, uuid)).get(name)


async def read_ports(connection: LibvirtConnection, uuid: str) -> dict[str, GuestPort]:
    """Return the channels of a running domain by their names in the guest; raises NotFound, HostCallFailed."""
    xml = await connection.on_domain(uuid, "look for its ports", lambda domain: domain.XMLDesc())
    ports = {}
    for channel in parse(xml).iterfind("devices/channel"):
        target, alias = channel.find("target"), channel.find("alias")
        if target is not None and alias is not None:
            state = target.get("state")
            ports[target.get("name", "")] = GuestPort(alias.get("name", ""), socket_of(channel), state == "connected")
    return ports


def socket_of(device: etree._Element) -> str:
    """The path of the socket on which QEMU listens for a character device; empty where it does not."""
    source = device.find("source")
    if source is None or source.get("mode", "bind") != "bind":
        return ""
    return source.get("path", "")


async def open_channel(connection: LibvirtConnection, uuid: str, name: str, port: GuestPort) -> socket.socket:
    """Return a socket that is connected to the channel *name*; as ``open_port``."""
    what = f"open the port {name}"
    return await open_port(connection, uuid, port.path, what, lambda domain, s: domain.openChannel(name, s, 0))


async def open_port(connection: LibvirtConnection, uuid: str, path: str, what: str, opener: Opener) -> socket.socket:
    """Return a socket that is connected to the port whose own socket is at *path*; who calls this holds the port.

    The port's own where this user may open it, else one that *opener* makes libvirt carry (a domain of the system's
    daemon, or on another machine). Nothing must be sent before the guest has opened the port: what libvirt 9.0 carries
    stalls for good when its buffers (some 100 KiB) are full by then. *what* names the action in errors. Raises
    HostCallFailed, when another program has the port for one, and TimedOut.
    """
    if path and is_local(connection.uri):
        end = asyncio.get_running_loop().time() + _LEAVING
        while await asyncio.to_thread(has_clients, path):
            if asyncio.get_running_loop().time() > end:
                raise HostCallFailed(f"cannot {what}: another program has it open")
            await asyncio.sleep(_PAUSE)
        try:
            return _connect(path)
        except BlockingIOError:
            raise HostCallFailed(f"cannot {what}: other programs wait for it") from None
        except OSError:
            # Not this user's to open: libvirt may.
            pass
    return await relay_stream(connection, uuid, what, opener)


def has_clients(path: str) -> bool:
    """Whether anybody is connected to the socket that listens at *path*, or waits to be (proc(5)). Blocks."""
    lines = (_LINE.fullmatch(line) for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines())
    return any(line[2] == path and not int(line[1], 16) & _LISTENS for line in lines if line)


def _connect(path: str) -> socket.socket:
    """Connect without waiting: a full backlog is BlockingIOError."""
    client = socket.socket(socket.AF_UNIX)
    try:
        client.setblocking(False)
        client.connect(path)
        client.setblocking(True)
    except BaseException:
        client.close()
        raise
    return client
