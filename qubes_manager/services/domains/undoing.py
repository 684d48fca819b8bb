"""Taking back what was made of a domain that never got whole, and taking away one that is to go."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.domain_actions import require_ended, undefine
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.creation_mark import mark_ended
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import HostCallFailed, HostUnreachable, NotFound, QubesManagerError
from qubes_manager.core.volumes import OwnVolume
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.volumes.volume_records import drop

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit


async def undo(hosts: Hosts, key: DomainKey, name: str, records: Sequence[OwnVolume]) -> None:
    """Take back what was made; what cannot be taken back now stays recorded, and is later."""
    with contextlib.suppress(QubesManagerError):
        try:
            await take_away(hosts.connection(key.connection), key.uuid, name, records)
        except HostUnreachable:
            await hosts.reopen(key.connection)
            await take_away(hosts.connection(key.connection), key.uuid, name, records)
    # Why it is taken back is what the user is to hear, not that the host is gone.
    with contextlib.suppress(QubesManagerError):
        await hosts.refresh(key)


async def take_away(connection: LibvirtConnection, uuid: str, name: str, records: Sequence[OwnVolume]) -> None:
    """Delete volumes, and then the domain whose record of them would be needed for another try.

    Raises Refused when it runs: others start domains without asking for our locks.
    """
    with contextlib.suppress(NotFound):
        await require_ended(connection, uuid, name)
    for record in records:
        await volume_store.delete_volume(connection, record.pool, record.name)
    await undefine(connection, uuid, name)
    await asyncio.to_thread(mark_ended, uuid)


async def finish_removal(hosts: Hosts, domain: Domain, volumes: Sequence[OwnVolume]) -> None:
    """Delete *volumes* of a domain whose removal is recorded, and then the domain.

    When that fails the removal is called off. Raises HostCallFailed, NotFound, HostUnreachable.
    """
    connection = hosts.connection(domain.key.connection)
    try:
        await take_away(connection, domain.key.uuid, domain.name, volumes)
    except BaseException as error:
        gone = await asyncio.shield(_try_calling_off(hosts, domain))
        if not gone or not isinstance(error, QubesManagerError):
            raise
        raise HostCallFailed(
            f"“{domain.name}” is removed in part only: {error}. Gone are {', '.join(gone)}; "
            "what is left stays until you remove it again",
            error.details,
        ) from error


async def call_off_removal(hosts: Hosts, domain: Domain) -> list[str]:
    """Leave a domain, whose removal was recorded, with the volumes that it still has; returns the others' names.

    So nobody deletes them one day, when their pool is there again and the removal long forgotten.
    """
    connection = hosts.connection(domain.key.connection)
    gone = []
    for volume in domain.config.volumes:
        with contextlib.suppress(NotFound, HostCallFailed):
            if await volume_store.find_volume(connection, volume.pool, volume.name) is None:
                gone.append(volume.name)

    def edit(document: "DomainEdit") -> None:
        drop(gone)(document)
        document.metadata().set_job(None)

    await actions_on(hosts, domain).edit_config(edit)
    await hosts.refresh(domain.key)
    return gone


async def _try_calling_off(hosts: Hosts, domain: Domain) -> list[str]:
    """Where libvirt does not answer any more, the next program that looks finds the record of the removal."""
    with contextlib.suppress(QubesManagerError):
        return await call_off_removal(hosts, domain)
    return []
