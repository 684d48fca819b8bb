"""Changing what a domain's network is, and whether it is that of others."""

import logging
from typing import TYPE_CHECKING

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.interfaces import ISOLATED, OPEN, USER
from qubes_manager.services.domains.property_edits import Aim, PropertyEdits
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.network.firewalls import Firewalls
from qubes_manager.services.network.isolation import Emulator, Isolation, put_isolation
from qubes_manager.services.network.providers import check_network, clients_of, provider_named, refuse_loop

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit
    from qubes_manager.backend.domains.metadata import MetadataEdit

log = logging.getLogger(__name__)


class NetworkProperties(PropertyEdits):
    """The setters; all raise NotFound, BadInput, and Refused when the domain cannot have the value, which says why."""

    def __init__(self, hosts: Hosts, store: DomainStore, isolation: Isolation, firewalls: Firewalls) -> None:
        super().__init__(hosts, store)
        self._isolation = isolation
        self._firewalls = firewalls

    async def set_netvm(self, key: DomainKey, netvm: str, *, all_interfaces: bool = False) -> None:
        """Set what the first network interface connects to: what ``parse_netvm`` reads, or a domain by its name.

        Between ``isolated`` and domains that provide network it changes at once, else from the next start on. Empty
        takes the interface away, and all of several only with *all_interfaces*. Raises BadInput, Refused.
        """
        netvm = ISOLATED if netvm == USER else netvm
        domain, before = self._domain(key), (await self.stored(key)).config
        provider = provider_named(self._store, key.connection, netvm)
        via = provider.key.uuid if provider else ""
        if (via, netvm) == (before.via, before.netvm):
            return
        if provider:
            refuse_loop(self._store, domain, provider)
        elif netvm != ISOLATED:
            await check_network(self._hosts.connection(key.connection), self._store, netvm)
        emulator = await self._isolation.emulator(key.connection)
        is_apart = provider is not None or netvm == ISOLATED
        if is_apart and emulator.trouble:
            raise Refused(
                f"it cannot have a network of its own here: {emulator.trouble}; “open” is user networking by which it "
                "reaches what this machine offers to itself"
            )
        if not is_apart:
            self._refuse_if_provider(domain, f"its own cannot be “{netvm or 'none'}”")

        def put_network(edit: "MetadataEdit") -> None:
            # Where it comes to have none, or one of libvirt's, that stays of which it may still run with.
            if is_apart or netvm == OPEN:
                edit.set_text("network", provider.name if provider else OPEN if netvm == OPEN else None, uuid=via)

        def change(edit: "DomainEdit") -> None:
            interfaces = edit.config.upstream
            if len(interfaces) > 1 and not (netvm or all_interfaces):
                raise Refused(
                    f"it has {len(interfaces)} network interfaces ({', '.join(i.netvm for i in interfaces)}), "
                    "and none takes all of them away: qvm-prefs does that with --force"
                )
            edit.set_netvm(ISOLATED if provider else netvm)
            put_network(edit.metadata())
            put_isolation(edit, emulator)

        await self._configure(key, Aim("netvm", via or netvm, _network), change)
        now = self._domain(key)
        notes = []
        if "/session" not in key.connection and now.config.firewall is not None:
            # A card that has come, or is on another network, has no filter yet.
            notes = [await self._firewalls.reload(key)]
        elif is_apart and now.state.is_active and now.config.is_isolated:
            # The record of the running one too, from which its keeper is told.
            await self._edit(key, put_network)
            notes = [await self._firewalls.lead(key, via), await self._firewalls.reload(key)]
        for note in filter(None, notes):
            log.warning("%s", note)

    async def set_provides_network(self, key: DomainKey, value: bool) -> None:
        """Whether others may have a domain's network, from its next start on."""
        domain = self._domain(key)
        config = (await self.stored(key)).config
        if not value:
            self._refuse_if_provider(domain, "it stays that")
        elif not (config.via or config.netvm == ISOLATED):
            raise Refused(
                f"“{domain.name}” has no network of its own to give (netvm is {config.netvm or 'none'}): "
                f"make it “{ISOLATED}”, or another domain that provides network, first"
            )
        await self.set_flag(key, "provides_network", value)
        if domain.persistent:
            await self._configure_card(key, value, await self._isolation.emulator(key.connection))

    async def _configure_card(self, key: DomainKey, value: bool, emulator: Emulator) -> None:
        def has_card(config: DomainConfig) -> bool:
            return any(i.is_downstream for i in config.interfaces)

        try:
            aim = Aim("provides_network", value, has_card)
            await self._configure(key, aim, lambda edit: put_isolation(edit, emulator))
        except QubesManagerError:
            await self.set_flag(key, "provides_network", not value)
            raise

    def _refuse_if_provider(self, domain: Domain, what: str) -> None:
        if users := clients_of(domain, self._store.of_host(domain.key.connection)):
            names = ", ".join(d.name for d in users)
            raise Refused(f"“{domain.name}” is the network of {names}, so {what}: give them another one first")

    async def set_flag(self, key: DomainKey, name: str, value: bool) -> None:
        """Set a property of ours that is off by default."""
        await self._edit(key, lambda edit: edit.set_text(name, "True" if value else None))


def _network(config: DomainConfig) -> str:
    """What tells a domain's network from others, whatever its name is by now."""
    return config.via or config.netvm
