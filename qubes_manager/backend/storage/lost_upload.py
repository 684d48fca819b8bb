"""What is left when libvirt goes away in the middle of an upload, and why it went.

libvirt 11.3 ends with a segmentation fault when the disk fills up under an upload (virFDStreamThreadDoWrite).
"""

import asyncio
import contextlib
import time

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.storage.pool_space import is_full
from qubes_manager.backend.storage.volume_store import delete_volume, refresh_now
from qubes_manager.core.errors import HostCallFailed, HostUnreachable, QubesManagerError

# How long libvirt may take to come again, in seconds.
_PATIENCE, _PAUSE = 20.0, 0.5


async def clear_after_loss(uri: str, pool: str, name: str) -> QubesManagerError:
    """Delete the volume *name*, during whose upload libvirt went away; returns the error that says what happened."""
    connection = LibvirtConnection(uri, watch=False)
    try:
        await _open_again(connection)
        full = await connection.call("look at the pool", _is_full, pool)
        await delete_volume(connection, pool, name)
    except QubesManagerError as error:
        return HostUnreachable(
            f"libvirt went away while “{name}” was written, and what there is of it is still in the pool “{pool}”: "
            "the next change of its domain clears it",
            str(error),
        )
    finally:
        await connection.close()
    if full:
        return HostCallFailed(f"the disk of the pool “{pool}” is full: free some space and try again")
    return HostUnreachable(f"libvirt went away while “{name}” was written; nothing is left of it: try again")


async def _open_again(connection: LibvirtConnection) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(HostUnreachable):
            return await connection.open()
        if time.monotonic() > end:
            raise HostUnreachable("libvirt has not come again")
        await asyncio.sleep(_PAUSE)


def _is_full(raw: libvirt.virConnect, name: str) -> bool:
    pool = raw.storagePoolLookupByName(name)
    if not pool.isActive():
        pool.create(0)
    refresh_now(pool)
    return is_full(pool)
