"""Raw volumes of earlier versions: a guest can write what looks like another format into one, so they become qcow2."""

import asyncio
import os
import sys
from contextlib import ExitStack

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.storage.image_files import SparseFile, convert, spare_room
from qubes_manager.backend.storage.images import Image
from qubes_manager.backend.storage.volume_store import Volume
from qubes_manager.backend.storage.volume_streams import read_volume, upload_volume
from qubes_manager.core.domain import Domain
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.files.scratch import scratch


def writable_raw(domain: Domain) -> list[OwnVolume]:
    """The raw volumes that a domain itself writes to."""
    return [
        volume
        for volume in domain.config.volumes
        if volume.role in (Role.ROOT, Role.PRIVATE)
        and volume.format == "raw"
        and not volume.revision
        and not volume.unfinished
    ]


async def copy_as_qcow2(
    connection: LibvirtConnection, source: OwnVolume, name: str, pool: str, progress: Progress = SILENT
) -> Volume:
    """Copy a raw volume, whose bytes are never taken for anything else, into a new qcow2 one.

    libvirt itself would copy it as whatever it looks like. Raises Cancelled, Refused, QubesManagerError.
    """
    with ExitStack() as files:
        async with scratch("raw") as work:
            plain, made = [
                files.enter_context(await asyncio.to_thread((work / part).open, "x+b")) for part in ("plain", "qcow2")
            ]
            sparse = SparseFile(plain, source.name, spare_room(work), sys.maxsize)
            await read_volume(connection, source.pool, source.name, sparse.write, progress=progress)
            await asyncio.to_thread(sparse.finish)
            image = Image(source.name, "raw", os.fstat(plain.fileno()).st_size)
            await asyncio.to_thread(convert, plain, image, made, spare_room(work), progress)
            return (await upload_volume(connection, name, made, pool=pool, progress=progress))[0]
