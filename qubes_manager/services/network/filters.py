"""Domains' firewalls where libvirt makes the network: as network filters of libvirt's."""

from qubes_manager.backend.network.nwfilter import dns_of_network, drop_filter, put_filter
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.firewall.filter_rules import FILTERED_KINDS, FilterRule, filter_rules
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.core.firewall.rules import Address
from qubes_manager.core.interfaces import filter_name
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


class Filters:
    """Puts them on domains. All raise NotFound, Refused, HostCallFailed."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    async def rules(self, key: DomainKey, config: DomainConfig, firewall: Firewall) -> list[FilterRule]:
        """Return what a filter says of a firewall; raises BadInput for a rule that it cannot say, by its number."""
        connection = self._hosts.connection(key.connection)
        dns: list[Address] = []
        for interface in config.upstream:
            if interface.kind == "network":
                dns += await dns_of_network(connection, interface.source)
        return filter_rules(firewall, list(dict.fromkeys(dns)))

    async def let_hold(self, domain: Domain, firewall: Firewall) -> str:
        """Let a firewall hold for a domain, and return where it does not now, in words."""
        rules = await self.rules(domain.key, domain.config, firewall)
        await put_filter(self._hosts.connection(domain.key.connection), domain.key.uuid, rules)
        name = filter_name(domain.key.uuid)
        await actions_on(self._hosts, domain).edit_config(lambda document: document.set_filter(name, FILTERED_KINDS))
        await self._hosts.refresh(domain.key)
        now = self._store.require(domain.key)
        if now.state.is_active and not has_filter(now):
            return f"they hold from the next start of “{now.name}” on: it was started without its network filter"
        return ""

    async def drop(self, key: DomainKey) -> None:
        """Take the filter of a domain away, where there is one."""
        await drop_filter(self._hosts.connection(key.connection), key.uuid)


def is_filterable(key: DomainKey, config: DomainConfig) -> bool:
    """Whether filters can be put on the network of a domain: it is libvirt's, and not a user's own libvirt."""
    return "/session" not in key.connection and any(i.kind in FILTERED_KINDS for i in config.upstream)


def has_filter(domain: Domain) -> bool:
    """Whether each interface that can have the domain's own filter has it."""
    name = filter_name(domain.key.uuid)
    filterable = [interface for interface in domain.config.upstream if interface.kind in FILTERED_KINDS]
    return bool(filterable) and all(interface.filter == name for interface in filterable)
