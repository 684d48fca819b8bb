"""From a domain's snapshot to what can be done to it."""

from qubes_manager.backend.domains.domain_actions import DomainActions
from qubes_manager.core.domain import Domain
from qubes_manager.services.hosts.hosts import Hosts


def actions_on(hosts: Hosts, domain: Domain) -> DomainActions:
    """Return the libvirt actions on *domain*; raises NotFound when its host is not connected."""
    return DomainActions(hosts.connection(domain.key.connection), domain)
