"""The revisions of a template's root: their volumes, and the domain's record of them.

When there is to be a new one, and what becomes of it, is decided in ``template_roots``. A crash leaves each volume
recorded, as *unfinished* where it is of no use.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import Refused
from qubes_manager.core.volume_use import image_name
from qubes_manager.core.volumes import OwnVolume, Role, volume_name
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.volumes.volume_records import drop, put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit

log = logging.getLogger(__name__)


class RootRevisions:
    """Makes, records and deletes them; its callers hold the template's lock but for ``merge``."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def add(self, domain: Domain, size: int, meaning: str) -> None:
        """Put a new revision above a template's current root and let the template's disk be it.

        *size* is in bytes, 0 for that of the current root. The number is recorded as *meaning* says: it is the
        "trial", which is written to, or the "revision", which is current.
        """
        config = domain.config
        current = config.volume(Role.ROOT)
        if current is None:
            raise Refused(f"“{domain.name}” has no root that is whole")
        actions, connection = actions_on(self._hosts, domain), self._hosts.connection(domain.key.connection)
        number = 1 + max(v.revision for v in config.volumes)
        name = volume_name(domain.name, domain.key.uuid, Role.ROOT, "qcow2", number)
        while await volume_store.is_known(connection, current.pool, name):
            # Another program wrote back what it had read of the domain before that revision was recorded.
            log.warning("%s has no record of %s, which stays where it is", domain.name, name)
            number += 1
            name = volume_name(domain.name, domain.key.uuid, Role.ROOT, "qcow2", number)
        new = OwnVolume(Role.ROOT, current.pool, name, number, backing=current.name, unfinished=True)
        await actions.edit_config(put(new))
        volume = await volume_store.create_volume(connection, name, size, pool=new.pool, backing=current.name)

        def edit(document: "DomainEdit") -> None:
            put(replace(new, unfinished=False))(document)
            document.metadata().set_number(meaning, number)
            _use_root(document, volume.path, new.format, keeps=meaning == "trial")

        await actions.edit_config(edit)

    async def commit(self, domain: Domain) -> None:
        """Let the trial be the current revision."""
        written = domain.config.trial

        def edit(document: "DomainEdit") -> None:
            metadata = document.metadata()
            metadata.set_number("revision", written)
            metadata.set_number("trial", 0)
            if disk := document.config.disk(Role.ROOT):
                document.set_disk_transient(disk.target, True)

        await actions_on(self._hosts, domain).edit_config(edit)

    async def make_current(self, domain: Domain, revision: OwnVolume) -> None:
        """Let another revision be the current one."""
        connection = self._hosts.connection(domain.key.connection)
        paths = await volume_store.volume_paths(connection, [revision])

        def edit(document: "DomainEdit") -> None:
            document.metadata().set_number("revision", revision.revision)
            _use_root(document, paths[Role.ROOT], revision.format)

        await actions_on(self._hosts, domain).edit_config(edit)

    async def leave_trial(self, domain: Domain, records: list[OwnVolume]) -> None:
        """Let the template's disk be its current root again; *records* change with it."""
        current = domain.config.volume(Role.ROOT)
        connection = self._hosts.connection(domain.key.connection)
        paths = await volume_store.volume_paths(connection, [current] if current else [])

        def edit(document: "DomainEdit") -> None:
            put(*records)(document)
            document.metadata().set_number("trial", 0)
            if current:
                _use_root(document, paths[Role.ROOT], current.format)

        await actions_on(self._hosts, domain).edit_config(edit)

    async def merge(self, domain: Domain, current: OwnVolume) -> None:
        """Put a whole copy in the place of the current revision, which becomes a base for those who stand on it.

        Takes the template's lock when it writes its record. Raises Refused.
        """
        connection, actions = self._hosts.connection(domain.key.connection), actions_on(self._hosts, domain)
        name = volume_name(domain.name, domain.key.uuid, Role.ROOT, "whole.qcow2", current.revision)
        if await volume_store.is_known(connection, current.pool, name):
            raise Refused(f"{name} is there already, and “{domain.name}” has no record of it: move it away")
        whole = replace(current, name=name, backing="", digest="", unfinished=True)
        async with domain_lock(domain.key.uuid, domain.name):
            await actions.edit_config(put(whole))
        volume = await volume_store.copy_volume(connection, current, name)

        def swap(document: "DomainEdit") -> None:
            put(replace(whole, unfinished=False), replace(current, role=Role.BASE))(document)
            disk = document.config.disk(Role.ROOT)
            if disk and image_name(disk.source) == current.name:
                document.set_disk_source(disk.target, volume.path, whole.format)

        async with domain_lock(domain.key.uuid, domain.name):
            await actions.edit_config(swap)
            await self._hosts.refresh(domain.key)

    async def delete(self, domain: Domain, volumes: list[OwnVolume]) -> None:
        """Delete volumes of a domain, which nobody uses; a crash in between leaves them recorded as unfinished."""
        if not volumes:
            return
        actions = actions_on(self._hosts, domain)
        await actions.edit_config(put(*(replace(v, unfinished=True) for v in volumes)))
        connection = self._hosts.connection(domain.key.connection)
        for volume in volumes:
            await volume_store.delete_volume(connection, volume.pool, volume.name)
        await actions.edit_config(drop(v.name for v in volumes))
        await self._hosts.refresh(domain.key)


def _use_root(document: "DomainEdit", path: str, image_format: str, *, keeps: bool = False) -> None:
    """Let a template's system disk be another file; unless it *keeps* what is written, whoever starts it."""
    if disk := document.config.disk(Role.ROOT):
        document.set_disk_source(disk.target, path, image_format)
        document.set_disk_transient(disk.target, not keeps)
