"""How the ports of a running domain open and close."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.guest_port import GuestPort, read_ports
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event

# Seconds after which it is looked once more at what libvirt has written down.
_LOOKS = (0.5, 2.0, 10.0, 60.0, 300.0)
_KINDS = {DomainEventKind.PORT_OPENED: True, DomainEventKind.PORT_CLOSED: False}


async def port_changes(
    connection: LibvirtConnection, uuid: str, events: "asyncio.Queue[Event]", ports: Iterable[GuestPort]
) -> AsyncIterator[tuple[str, bool]]:
    """Yield the alias of each port that opens (True) or closes, for ever; *events* was there before *ports* were read.

    libvirt passes on at once what QEMU says, and writes it down when it has done what it is doing with the domain:
    while a saved state was restored that was 60 to 190 ms later (libvirt 9.0). Who comes in between has heard nothing
    and reads what is not true any more, so ports of which nothing is heard are read again, a few times.
    """
    loop = asyncio.get_running_loop()
    began, looks = loop.time(), iter(_LOOKS)
    unheard = {port.alias: port.is_open for port in ports}
    next_look = next(looks, None)
    while True:
        try:
            async with asyncio.timeout_at(next_look and began + next_look):
                event = await events.get()
        except TimeoutError:
            next_look = next(looks, None)
            for port in await _read_again(connection, uuid):
                if unheard.get(port.alias, port.is_open) is not port.is_open:
                    unheard[port.alias] = port.is_open
                    yield port.alias, port.is_open
            continue
        if isinstance(event, DomainEvent) and event.uuid == uuid and event.kind in _KINDS:
            unheard.pop(event.detail, None)
            yield event.detail, _KINDS[event.kind]


async def _read_again(connection: LibvirtConnection, uuid: str) -> list[GuestPort]:
    """Its ports; none where they cannot be read now, as of a domain that ends."""
    with contextlib.suppress(QubesManagerError):
        return list((await read_ports(connection, uuid)).values())
    return []
