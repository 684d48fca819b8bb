"""Taking back what was made of a domain that never got whole."""

import contextlib
from collections.abc import Sequence

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.domain_actions import undefine
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.volumes import OwnVolume
from qubes_manager.services.hosts.hosts import Hosts


async def undo(hosts: Hosts, key: DomainKey, name: str, records: Sequence[OwnVolume]) -> None:
    """Take back what was made; what cannot be taken back now stays recorded, and is later."""
    with contextlib.suppress(QubesManagerError):
        await take_away(hosts.connection(key.connection), key.uuid, name, records)
    await hosts.refresh(key)


async def take_away(connection: LibvirtConnection, uuid: str, name: str, records: Sequence[OwnVolume]) -> None:
    """Delete volumes, and then the domain whose record of them would be needed for another try."""
    for record in records:
        await volume_store.delete_volume(connection, record.pool, record.name)
    await undefine(connection, uuid, name)
