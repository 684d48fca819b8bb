"""Making a domain of several volumes: it is whole at the end, or nothing of it is left.

The domain is defined first, with a record of what is to be made and of the job: whatever dies meanwhile, the next
program that looks finds the record and undoes it (services/recovery.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.finishing import define_whole, stored_xml
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.storage import volume_store, volume_streams
from qubes_manager.backend.user.creation_mark import mark_begun, mark_ended
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import DomainKey, Job
from qubes_manager.core.progress import Progress
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.undoing import undo
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.volumes.raw_volumes import copy_as_qcow2

_WHAT = {Role.ROOT: "the image", Role.PRIVATE: "the private data", Role.MEDIUM: "the disc"}
Made = dict[Role, volume_store.Volume]


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """A volume to make: its record, and what makes it and returns the record of the whole volume."""

    record: OwnVolume
    make: Callable[[], Awaitable[tuple[volume_store.Volume, OwnVolume]]]


def plan_empty(connection: LibvirtConnection, record: OwnVolume, size: int, secret: str = "") -> VolumePlan:
    """A new volume of *size* bytes, or one above ``record.backing``."""

    async def make() -> tuple[volume_store.Volume, OwnVolume]:
        made = await volume_store.create_volume(
            connection, record.name, size, pool=record.pool, backing=record.backing, secret=secret
        )
        return made, record

    return VolumePlan(record, make)


def plan_upload(
    connection: LibvirtConnection, record: OwnVolume, source: Path | BinaryIO, progress: Progress, checksum: str = ""
) -> VolumePlan:
    """A copy of an image file, to the bit; its bytes must have the *checksum* where there is one."""

    async def make() -> tuple[volume_store.Volume, OwnVolume]:
        progress.step(f"Copying {_what(record)}")
        made, digest = await volume_streams.upload_volume(
            connection, record.name, source, pool=record.pool, checksum=checksum, progress=progress
        )
        return made, replace(record, digest=digest)

    return VolumePlan(record, make)


def plan_copy(
    connection: LibvirtConnection, record: OwnVolume, source: OwnVolume, progress: Progress, *, raw: bool = False
) -> VolumePlan:
    """A whole copy of another domain's volume, as qcow2 or with *raw* to the bit, for what no guest writes to."""

    async def make() -> tuple[volume_store.Volume, OwnVolume]:
        progress.step(f"Copying {_what(record)}")
        if source.format == "raw" and not raw:
            return await copy_as_qcow2(connection, source, record.name, record.pool, progress), record
        image_format = "raw" if raw else "qcow2"
        return await volume_store.copy_volume(connection, source, record.name, record.pool, image_format), record

    return VolumePlan(record, make)


def _what(record: OwnVolume) -> str:
    return _WHAT.get(record.role, f"the {record.role.value}")


async def make_domain(
    hosts: Hosts,
    uri: str,
    draft: NewDomain,
    plans: Sequence[VolumePlan],
    finish: Callable[[Made], Awaitable[NewDomain]],
) -> DomainKey:
    """Make the volumes of *plans* and a domain of them; on any error nothing is left behind.

    *draft* has the name, the UUID and the configuration; *finish* gets the volumes by role and returns the whole
    domain, whose records of volumes are filled in here.
    """
    connection = hosts.connection(uri)
    key = DomainKey(uri, draft.uuid)
    begun = replace(draft.config, job=Job.CREATE, volumes=tuple(replace(p.record, unfinished=True) for p in plans))
    async with domain_lock(draft.uuid, draft.name):
        await volume_store.require_pools(connection, {plan.record.pool for plan in plans})
        bare = replace(draft, config=begun, disks=(), kernel="", initrd="", uefi=False, console_log="")
        await define(connection, draft.name, bare.xml())
        try:
            await asyncio.to_thread(mark_begun, draft.uuid)
            begun_xml = await stored_xml(connection, draft.uuid, draft.name)
            # The row is there from now on, and says what is going on.
            await hosts.refresh(key)
            made: Made = {}
            records = []
            for plan in plans:
                made[plan.record.role], record = await plan.make()
                records.append(record)
            whole = await finish(made)
            whole = replace(whole, config=replace(whole.config, job=None, volumes=tuple(records)))
            # Others may have set its label, tags or notes meanwhile.
            await define_whole(connection, draft.uuid, draft.name, begun_xml, whole.xml())
            await asyncio.to_thread(mark_ended, draft.uuid)
        except BaseException:
            await asyncio.shield(undo(hosts, key, draft.name, [p.record for p in plans]))
            raise
    await hosts.refresh(key)
    return key
