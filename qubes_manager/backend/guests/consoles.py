"""Ways to a running domain's screen and to its serial console."""

import socket

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.stream_relay import relay_stream
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.core.gui_messages import ConsoleKind


async def open_console(connection: LibvirtConnection, uuid: str, kind: ConsoleKind) -> socket.socket:
    """Return a socket that speaks VNC, or that carries the serial line.

    libvirt hands the socket of a screen over on this machine only; a serial line it carries from anywhere. Raises
    HostCallFailed.
    """
    if kind is ConsoleKind.SERIAL:
        what = "open the serial console; another program may have it"
        return await relay_stream(connection, uuid, what, lambda domain, stream: domain.openConsole(None, stream, 0))

    def open_screen(domain: Handle) -> socket.socket:
        return socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))

    return await connection.on_domain(uuid, "open the domain’s screen", open_screen)
