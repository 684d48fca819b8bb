"""Whose QEMU gets a device from a server of ours, and what becomes of that when the device is pulled out."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from qubes_manager.backend.host.block_server import (
    ServedPlace,
    mark_of,
    served_place,
    serving,
    wait_until_released,
)
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.host.node_devices import find_block_device
from qubes_manager.core.devices.block import BlockDevice, identity_of, refuse_if_host_uses
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import Refused
from qubes_manager.core.hardware import Disk
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.devices.devices import refuse_denied
from qubes_manager.services.hosts.hosts import Hosts

# Seconds in which a slow drive takes what was written to it.
_WRITING = 1800.0


@asynccontextmanager
async def served(hosts: Hosts, domain: Domain, device: BlockDevice, *, read_only: bool) -> AsyncIterator[str]:
    """Serve a device of this machine to a domain, and give the socket; where the block fails, it is served no more.

    Raises Refused where another device is in its place by the time that it is open.
    """
    place = served_place(await _volumes(domain), device.location, device.ident)
    socket = place.new_socket()
    async with serving(place, socket, device.path, _when_gone(domain, socket), read_only=read_only):
        now = await find_block_device(hosts.connection(domain.key.connection), device.path)
        if now is None or identity_of(now) != identity_of(device):
            what = now.description if now else "nothing"
            raise Refused(f"{device.path} was {device.description} when you chose it, and is {what} by now: look again")
        yield str(socket)


@asynccontextmanager
async def served_again(hosts: Hosts, domain: Domain) -> AsyncIterator[None]:
    """Serve what a saved domain had when it was saved, where it finds that as it goes on.

    Raises Refused for what is not there, or is not as it was left: the domain would spoil what others wrote to it.
    """
    wanted = [disk for disk in domain.config.disks if disk.socket]
    async with AsyncExitStack() as servers:
        for disk in wanted:
            device, place = await _left(hosts, domain, disk)
            refuse_denied(domain, device)
            refuse_if_host_uses(device)
            if not disk.read_only:
                left = await asyncio.to_thread(place.verdict, Path(disk.socket).name)
                if left != (True, await asyncio.to_thread(mark_of, device.path)):
                    raise _not_as_it_was(domain, disk, "it was taken out or written to since")
            socket = Path(disk.socket)
            gone = _when_gone(domain, socket)
            await servers.enter_async_context(serving(place, socket, disk.source, gone, read_only=disk.read_only))
            # The user may have been asked meanwhile.
            await _left(hosts, domain, disk)
        yield


async def _left(hosts: Hosts, domain: Domain, disk: Disk) -> tuple[BlockDevice, ServedPlace]:
    """The device that a saved domain had as *disk*, and where that was served; raises Refused where it is not there."""
    volumes = await _volumes(domain)
    device = await find_block_device(hosts.connection(domain.key.connection), disk.source)
    place = served_place(volumes, device.location, device.ident) if device else None
    if device is None or place is None or place.folder != Path(disk.socket).parent:
        raise _not_as_it_was(domain, disk, "that is not there: plug it in where it was")
    return device, place


def _not_as_it_was(domain: Domain, disk: Disk, how: str) -> Refused:
    return Refused(
        f"“{domain.name}” was saved while it had {disk.source}, and {how}; or discard the saved state (“Discard saved "
        "state”, qvm-kill --discard-saved)"
    )


async def _volumes(domain: Domain) -> Path:
    paths = await asyncio.to_thread(daemon_paths, domain.key.connection)
    if paths is None:
        raise Refused("devices of this machine are for domains of this machine")
    return paths.volumes


def _when_gone(domain: Domain, socket: Path) -> tuple[str, ...]:
    """What is run when the device is gone."""
    words = (sys.executable, "-m", "qubes_manager", "device-gone", "--connect", domain.key.connection)
    return (*words, domain.key.uuid, str(socket))


async def until_released(disk: Disk, progress: Progress = SILENT) -> None:
    """Wait until the device that a disk was is closed: then it has all that was written; raises TimedOut, Cancelled."""
    progress.step("The device takes what was written; do not pull it out yet")
    socket = Path(disk.socket)
    await wait_until_released(ServedPlace(socket.parent), socket.name, _WRITING, progress)
