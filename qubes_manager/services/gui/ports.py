"""The ports that this service has; each of them belongs to one of the user's services at a time, on whatever screen."""

import asyncio
from pathlib import Path

from qubes_manager.backend.user.port_holder import HeldPort, PortHolder, PortTaken
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.gui_messages import Port, Release
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.link import ask_at

_PROGRAM = "qubes-manager gui"
# Seconds that another service may take to let go.
_PATIENCE = 10.0


async def hold_port(uri: str, uuid: str, port: Port) -> HeldPort:
    """Take a port that nobody has, until it is closed; raises PortTaken."""
    return await asyncio.to_thread(lambda: HeldPort(uuid, port, PortHolder.here(_PROGRAM, str(socket_path(uri)))))


async def take_over_port(uri: str, uuid: str, port: Port) -> HeldPort:
    """Take a port from whoever has it; raises PortTaken when that is none of our services, QubesManagerError."""
    try:
        return await hold_port(uri, uuid, port)
    except PortTaken as taken:
        if taken.holder is None:
            raise
        await ask_to_release(taken.holder, uuid, port)
    return await hold_port(uri, uuid, port)


async def ask_to_release(holder: PortHolder, uuid: str, port: Port) -> None:
    """Ask the service that has a port to let go of it; raises QubesManagerError when it does not."""
    try:
        await ask_at(Path(holder.socket), Release(uuid, port), _PATIENCE)
    except QubesManagerError as error:
        raise QubesManagerError(f"{holder.sentence} does not let go: {error}") from error
