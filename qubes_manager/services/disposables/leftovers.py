"""Throw-away files of disposables that are gone, which nothing else in libvirt tells of."""

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.errors import Refused
from qubes_manager.core.volume_use import TRANSIENT
from qubes_manager.core.volumes import OwnVolume, Role, is_our_name
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore

# Held, shared, by who starts a disposable: libvirt makes its files before anybody else sees the domain.
STARTING = "disposables that start"


class Leftovers:
    """Deletes what a crash of libvirtd or of the host leaves of disposables.

    libvirt takes the throw-away layers away when a domain stops, unless it was started anew meanwhile; those of a
    domain that it does not know any more it never would.
    """

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses

    async def clear(self, uri: str) -> list[str]:
        """Delete the throw-away layers above volumes of ours that are of no domain; returns their names.

        Does nothing while another program starts a disposable: there will be a next time.
        """
        try:
            async with domain_lock(STARTING, "", 0):
                return await self._clear(uri)
        except Refused:
            return []

    async def _clear(self, uri: str) -> list[str]:
        connection = self._hosts.connection(uri)
        found = {}
        for pool in {volume_store.POOL, *self._pools(uri)}:
            for name in await volume_store.volume_names(connection, pool, fresh=True):
                base, mark, owner = name.partition(TRANSIENT)
                if mark and is_our_name(base) and owner:
                    found[OwnVolume(Role.ROOT, pool, name)] = owner
        if not found:
            return []
        # Read after the files: a domain that is there by now has its own.
        await self._hosts.refresh_host(uri)
        names = {d.name for d in self._store.of_host(uri)}
        left = [volume for volume, owner in found.items() if owner not in names]
        used = await self._uses.of_anyone(uri, left) if left else {}
        gone = [volume for volume in left if volume.name not in used]
        for volume in gone:
            await volume_store.delete_volume(connection, volume.pool, volume.name)
        return [volume.name for volume in gone]

    def _pools(self, uri: str) -> set[str]:
        return {
            v.pool for d in self._store.of_host(uri) for v in d.config.volumes if v.role in (Role.ROOT, Role.FROZEN)
        }
