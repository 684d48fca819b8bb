"""libvirt's networks."""

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.core.errors import BadInput
from qubes_manager.core.interfaces import parse_netvm


async def network_names(connection: LibvirtConnection, *, active: bool = True) -> list[str]:
    """Return the names of the host's active networks, or of all; none where the driver has no networks."""

    def read(raw: libvirt.virConnect) -> list[str]:
        try:
            networks = raw.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE if active else 0)
        except libvirt.libvirtError as error:
            if is_unsupported(error):
                return []
            raise
        return sorted(network.name() for network in networks)

    return await connection.call("list the networks", read)


async def check_netvm(connection: LibvirtConnection, netvm: str) -> None:
    """Raise BadInput when *netvm* means nothing, or a network that the host does not have; empty is no interface."""
    if not netvm or (to := parse_netvm(netvm)).kind != "network":
        return
    names = await network_names(connection, active=False)
    if to.source not in names:
        there = f"the host’s networks are {', '.join(names)}" if names else "the host has no libvirt network"
        raise BadInput("netvm", netvm[:80], f"{there}; “user” is user networking")
