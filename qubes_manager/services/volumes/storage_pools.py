"""Storage pools, for those who want volumes in another place."""

from qubes_manager.backend.storage import pools
from qubes_manager.backend.storage.pools import DRIVERS as DRIVERS
from qubes_manager.backend.storage.pools import Pool
from qubes_manager.core.errors import BadInput, QubesManagerError
from qubes_manager.core.names import check_name
from qubes_manager.services.hosts.hosts import Hosts


class StoragePools:
    """The pools of all connections."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def all(self, uri: str) -> list[Pool]:
        """Return the pools of a connection."""
        return await pools.list_pools(self._hosts.connection(uri))

    async def usable(self, uri: str) -> list[str]:
        """Return the names of the pools that volumes can lie in; none when the connection has no pools.

        One that is not active is started when it is used.
        """
        try:
            found = await self.all(uri)
        except QubesManagerError:
            return []
        return [pool.name for pool in found if pool.driver in DRIVERS]

    async def add(self, uri: str, name: str, driver: str, folder: str) -> None:
        """Add a pool of files in a folder of the host; raises BadInput, HostCallFailed."""
        check_name(name)
        if driver != "dir":
            raise BadInput("driver", driver[:80], "only pools of the driver dir can be added; make others with virsh")
        await pools.add_pool(self._hosts.connection(uri), name, folder)

    async def remove(self, uri: str, name: str) -> None:
        """Forget an empty pool; raises NotFound, Refused."""
        await pools.remove_pool(self._hosts.connection(uri), name)
