"""Ways to a running domain's screen and to its serial console."""

import socket

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.guests.guest_port import open_port, socket_of
from qubes_manager.backend.xml import parse


async def open_serial_line(connection: LibvirtConnection, uuid: str) -> socket.socket:
    """Return a socket that carries the first serial console; who calls this holds the port.

    Raises HostCallFailed, when another program has it for one, and TimedOut.
    """
    what = "open the serial console"
    xml = await connection.on_domain(uuid, what, lambda domain: domain.XMLDesc())
    console = parse(xml).find("devices/console")
    # A terminal takes any number of readers, who would get a part each: libvirt refuses a second one.
    path = socket_of(console) if console is not None and console.get("type") == "unix" else ""
    what += "; another program may have it"
    safe = libvirt.VIR_DOMAIN_CONSOLE_SAFE
    return await open_port(connection, uuid, path, what, lambda domain, stream: domain.openConsole(None, stream, safe))


async def open_screen(connection: LibvirtConnection, uuid: str) -> socket.socket:
    """Return a socket that speaks VNC, which libvirt hands over on this machine only. Raises HostCallFailed."""

    def open_now(domain: Handle) -> socket.socket:
        return socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))

    return await connection.on_domain(uuid, "open the domain’s screen", open_now)
