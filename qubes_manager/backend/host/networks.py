"""libvirt's networks."""

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import is_unsupported


async def network_names(connection: LibvirtConnection) -> list[str]:
    """Return the names of the host's active networks; none where the driver has no networks."""

    def read(raw: libvirt.virConnect) -> list[str]:
        try:
            networks = raw.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        except libvirt.libvirtError as error:
            if is_unsupported(error):
                return []
            raise
        return sorted(network.name() for network in networks)

    return await connection.call("list the networks", read)
