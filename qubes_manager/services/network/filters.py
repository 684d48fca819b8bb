"""Domains' firewalls where libvirt makes the network: as network filters of libvirt's."""

import asyncio
import time

from qubes_manager.backend.network.nwfilter import bridges_pass_by, dns_of_network, drop_filter, put_filter
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.firewall.filter_rules import FILTERED_KINDS, filter_rules
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.core.firewall.of_domain import firewall_of
from qubes_manager.core.firewall.rules import Address
from qubes_manager.core.interfaces import filter_name
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

_TRIES = 10


class Filters:
    """Puts them on domains. All raise NotFound, Refused, HostCallFailed."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    async def check(self, domain: Domain, config: DomainConfig, firewall: Firewall) -> None:
        """Raise BadInput or Refused where a firewall cannot hold for a domain, which says why."""
        filter_rules(firewall, await self._servers(domain.key, config))
        if not domain.persistent:
            raise Refused(f"“{domain.name}” has the network filter of its template, which stays as it was started")
        for interface in config.upstream:
            is_theirs = interface.filter and not interface.filter.startswith(filter_name(""))
            if interface.kind in FILTERED_KINDS and is_theirs:
                raise Refused(f"it has the network filter “{interface.filter}” already: take that away first")

    async def _servers(self, key: DomainKey, config: DomainConfig) -> list[Address]:
        """What the domain's networks are answered DNS by."""
        found: list[Address] = []
        for interface in config.upstream:
            if interface.kind == "network":
                found += await dns_of_network(self._hosts.connection(key.connection), interface.source)
        return list(dict.fromkeys(found))

    async def let_hold(self, domain: Domain) -> str:
        """Let the firewall that is set hold for a domain, and return where it does not now, in words."""
        connection, key, name = self._hosts.connection(domain.key.connection), domain.key, filter_name(domain.key.uuid)
        for _ in range(_TRIES):
            firewall = firewall_of(domain.config, time.time())
            servers = await self._servers(key, domain.config)
            await put_filter(connection, key.uuid, filter_rules(firewall, servers), servers)
            if domain.persistent:
                edit = actions_on(self._hosts, domain).edit_config
                await edit(lambda document: document.set_filter(name, FILTERED_KINDS))
            await self._hosts.refresh(key)
            domain = self._store.require(key)
            # Others may have set something else meanwhile.
            if firewall_of(domain.config, time.time()) == firewall:
                return await self._note(domain)
        return f"the rules of “{domain.name}” are changed all the time: look again"

    async def _note(self, domain: Domain) -> str:
        if await asyncio.to_thread(bridges_pass_by, domain.key.connection):
            return (
                "no rules hold for what goes over a bridge of this machine: its kernel does not show it to the packet "
                "filter; let an administrator run “sysctl -w net.bridge.bridge-nf-call-iptables=1 "
                "net.bridge.bridge-nf-call-ip6tables=1”"
            )
        if domain.state is DomainState.SAVED:
            return f"“{domain.name}” is saved: they hold when it is started anew, and not when it goes on from there"
        if domain.state.is_active and not has_filter(domain):
            return f"they hold from the next start of “{domain.name}” on: it was started without its network filter"
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
