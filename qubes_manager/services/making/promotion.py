"""Turning an installed system into a template."""

from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import DomainClass, DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import Role
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, refuse_running
from qubes_manager.services.volumes.volume_records import put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit


class Promotion:
    """Makes templates of StandaloneVMs."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    async def to_template(self, key: DomainKey) -> None:
        """Let a halted StandaloneVM be a template from now on; its root becomes revision 1. Raises Refused."""
        domain = self._store.require(key)
        root = domain.config.volume(Role.ROOT)
        if domain.klass is not DomainClass.STANDALONE or root is None:
            raise Refused(f"“{domain.name}” is no StandaloneVM whose system this program made")
        refuse_running(domain)

        def edit(document: "DomainEdit") -> None:
            put(replace(root, revision=1))(document)
            metadata = document.metadata()
            metadata.set_text("class", DomainClass.TEMPLATE.value)
            metadata.set_number("revision", 1)

        async with domain_lock(key.uuid, domain.name):
            await actions_on(self._hosts, domain).edit_config(edit)
        await self._hosts.refresh(key)
