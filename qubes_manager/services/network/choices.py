"""What domains can connect to."""

from qubes_manager.backend.host.networks import network_names
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.interfaces import ISOLATED, OPEN, Interface
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.network.providers import way_out

Choice = tuple[str, str]
APART = ("isolated: of its own, behind its firewall", ISOLATED)
UNGUARDED = ("open: reaches this machine’s own services too", OPEN)
NONE = ("none", "")


async def network_choices(hosts: Hosts, store: DomainStore, uri: str, of: Domain | None = None) -> list[Choice]:
    """Return (words, value) of all networks of a connection; when it does not answer, those that need no answer.

    Those of other domains are among them, but for those that have that of *of*.
    """
    try:
        names = await network_names(hosts.connection(uri))
    except QubesManagerError:
        names = []
    providers = [
        (f"that of {domain.name}", domain.name)
        for domain in sorted(store.of_host(uri), key=lambda d: d.name)
        if domain.config.provides_network
        and not (of and any(d.key == of.key for d in (domain, *way_out(store, domain))))
    ]
    networks = [(f"network {name}", Interface("network", name).netvm) for name in names]
    return [APART, *providers, *networks, UNGUARDED, NONE]
