"""Turning an installed system into a template."""

from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import Role
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.volumes.domain_volumes import DomainVolumes
from qubes_manager.services.volumes.raw_volumes import writable_raw
from qubes_manager.services.volumes.volume_records import put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit


class Promotion:
    """Makes templates of StandaloneVMs."""

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses, volumes: DomainVolumes) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._volumes = volumes

    async def to_template(self, key: DomainKey) -> None:
        """Let a halted StandaloneVM be a template from now on; its root becomes revision 1. Raises Refused."""
        if writable_raw(self._store.require(key)):
            await self._volumes.to_qcow2(key)
        async with domain_lock(key.uuid, self._store.require(key).name):
            await self._promote(await self._uses.require_own_disks(key))
        await self._hosts.refresh(key)

    async def _promote(self, domain: Domain) -> None:
        root = domain.config.volume(Role.ROOT)
        if domain.klass is not DomainClass.STANDALONE or root is None:
            raise Refused(f"“{domain.name}” is no StandaloneVM whose system this program made")
        self._store.require_halted(domain.key)
        if domain.autostart:
            raise Refused(f"“{domain.name}” starts with the host, which a template does not: turn that off first")
        # Who has it as a disk would write into what all domains of the template start from.
        await self._uses.refuse_others(domain.key, [root])

        def edit(document: "DomainEdit") -> None:
            put(replace(root, revision=1))(document)
            metadata = document.metadata()
            metadata.set_text("class", DomainClass.TEMPLATE.value)
            metadata.set_number("revision", 1)
            if disk := document.config.disk(Role.ROOT):
                document.set_disk_transient(disk.target, True)

        await actions_on(self._hosts, domain).edit_config(edit)
