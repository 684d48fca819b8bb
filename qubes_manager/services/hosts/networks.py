"""What domains can connect to."""

from qubes_manager.backend.host.networks import network_names
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.interfaces import ISOLATED, OPEN, Interface
from qubes_manager.services.hosts.hosts import Hosts

Choice = tuple[str, str]
APART = ("isolated: of its own, behind its firewall", ISOLATED)
UNGUARDED = ("open: reaches this machine’s own services too", OPEN)
NONE = ("none", "")


async def network_choices(hosts: Hosts, uri: str) -> list[Choice]:
    """Return (words, value) of all networks of a connection; when it does not answer, those that need no answer."""
    try:
        names = await network_names(hosts.connection(uri))
    except QubesManagerError:
        names = []
    return [APART, *((f"network {name}", Interface("network", name).netvm) for name in names), UNGUARDED, NONE]
