"""The port of a running domain that its application windows come through."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.stream_relay import relay_stream
from qubes_manager.backend.xml import parse
from qubes_manager.core.domain import GUI_PORT
from qubes_manager.core.errors import HostCallFailed


@dataclass(frozen=True, slots=True)
class GuiPort:
    """The port's alias in libvirt's events, its socket on the host, and whether the guest has opened it."""

    alias: str
    path: str
    is_open: bool


async def read_gui_port(connection: LibvirtConnection, uuid: str) -> GuiPort | None:
    """Return the port of a running domain; None when it has none. Raises NotFound, HostCallFailed."""
    xml = await connection.on_domain(uuid, "look for the windows’ port", lambda domain: domain.XMLDesc())
    for channel in parse(xml).iterfind("devices/channel"):
        target, source, alias = channel.find("target"), channel.find("source"), channel.find("alias")
        if target is not None and target.get("name") == GUI_PORT and alias is not None:
            path = source.get("path", "") if source is not None else ""
            return GuiPort(alias.get("name", ""), path, target.get("state") == "connected")
    return None


async def connect_gui_port(connection: LibvirtConnection, uuid: str, port: GuiPort) -> socket.socket:
    """Return a socket that is connected to the port.

    The port's own where this user may open it, else one that libvirt carries (a domain of the system's daemon, or on
    another machine). Nothing must be sent before the guest has opened the port: what libvirt 9.0 carries stalls for
    good when its buffers (some 100 KiB) are full by then. Raises HostCallFailed.
    """
    with contextlib.suppress(OSError):
        return await asyncio.to_thread(_connect, port.path)
    try:
        return await relay_stream(
            connection, uuid, "open the windows’ port", lambda d, s: d.openChannel(GUI_PORT, s, 0)
        )
    except HostCallFailed as error:
        raise HostCallFailed("the windows’ port cannot be opened; another program may use it", error.details) from error


def _connect(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    try:
        client.settimeout(5)
        client.connect(path)
        client.settimeout(None)
    except BaseException:
        client.close()
        raise
    return client
