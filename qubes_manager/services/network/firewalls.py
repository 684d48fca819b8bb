"""Domains' firewalls: kept in their metadata, in what starts them, and in effect while they run."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qubes_manager.backend.host.daemon_paths import DaemonPaths, daemon_paths
from qubes_manager.backend.network.emulator_files import emulator_files
from qubes_manager.backend.network.keeper_link import ask_keeper
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, Overtaken, QubesManagerError, Refused
from qubes_manager.core.firewall.control import AskNetwork, NetworkState, SetFirewall, SetVia, rules_text
from qubes_manager.core.firewall.dns import DNS4, DNS6
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.core.firewall.of_domain import ON, firewall_of
from qubes_manager.core.firewall.rules import Address
from qubes_manager.core.interfaces import ISOLATED
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.network.filters import Filters, is_filterable
from qubes_manager.services.network.isolation import Isolation, put_isolation

if TYPE_CHECKING:
    from qubes_manager.backend.domains.metadata import MetadataEdit

# Where a domain asks DNS; to others addresses of rules never lead.
DNS_ADDRESSES: tuple[Address, ...] = (DNS4, DNS6)
# Seconds that the keeper of a domain that has just started may take to listen.
_BEGINS, _PAUSE = 10.0, 0.2
_TRIES = 10
_NAME_SECONDS = 10.0


class Firewalls:
    """Reads and changes domains' firewalls. All raise NotFound, BadInput, HostCallFailed."""

    def __init__(self, hosts: Hosts, store: DomainStore, isolation: Isolation) -> None:
        self._hosts = hosts
        self._store = store
        self._isolation = isolation
        self._filters = Filters(hosts, store)

    def of(self, key: DomainKey) -> Firewall:
        """Return a domain's firewall as it was read last, with rules whose time is over: they have their numbers."""
        return firewall_of(self._store.require(key).config, time.time())

    async def reset(self, key: DomainKey) -> str:
        """Give a domain the rules of a new one, whatever stands there, also what nobody can read; as ``change``."""
        return await self._change_all(key, lambda _config: Firewall())

    async def change(self, key: DomainKey, change: Callable[[Firewall], Firewall]) -> str:
        """Change a domain's rules, and return where they do not hold now, in words; empty where they do.

        What others have set meanwhile is changed by *change* too, and never lost: it may be called more than once.
        Connections that the rules forbid are cut. Raises Overtaken where others set them all the time.
        """
        return await self._change_all(key, lambda config: change(firewall_of(config, time.time())))

    async def _change_all(self, key: DomainKey, change: Callable[[DomainConfig], Firewall]) -> str:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine; this program keeps no firewall of it")
        for left in reversed(range(_TRIES)):
            try:
                await self._change_once(domain, change)
                break
            except Overtaken:
                if not left:
                    raise
        await self._hosts.refresh(key)
        return await self.reload(key)

    async def _change_once(self, domain: Domain, change: Callable[[DomainConfig], Firewall]) -> None:
        """Change what is there now; raises Overtaken when it is something else by the time that it is written."""
        actions = actions_on(self._hosts, domain)
        config, now = await actions.stored_config(), time.time()
        before = config.firewall, config.home_network
        firewall = change(config).without_expired(now)
        wanted = firewall.lines, ON if firewall.home else ""
        if is_filterable(domain.key, config):
            # What cannot hold is not kept either.
            await self._filters.check(domain, config, firewall)

        def edit(document: "MetadataEdit") -> None:
            present = document.config.firewall, document.config.home_network
            if present == wanted:
                return
            if present != before:
                raise Overtaken(f"somebody else has changed the rules of “{domain.name}” just now; look, and try again")
            document.set_text("firewall", wanted[0], home=wanted[1])

        await actions.edit_metadata(edit)

    async def reload(self, key: DomainKey) -> str:
        """Let the rules that are set hold; returns where they do not, in words."""
        domain = self._store.require(key)
        if is_filterable(key, domain.config):
            return await self._filters.let_hold(domain)
        found = await self._isolation.emulator(key.connection)
        if domain.config.is_isolated and domain.config.disposal is None:
            await actions_on(self._hosts, domain).edit_config(lambda document: put_isolation(document, found))
            await self._hosts.refresh(key)
            domain = self._store.require(key)
        if not (domain.config.via or domain.config.netvm == ISOLATED):
            return f"no rules hold for “{domain.name}”: {_unguarded(domain, found.trouble)}"
        if domain.state is DomainState.SAVED:
            return f"“{domain.name}” is saved: they hold when this program starts it again, or runs this once more then"
        return await self._let_hold(domain) if domain.state.is_active else ""

    async def _let_hold(self, domain: Domain) -> str:
        """Let a running domain's keeper have the rules, until those that it has are those that are set."""
        for _ in range(_TRIES):
            firewall = self.of(domain.key)
            try:
                await self._ask(domain, SetFirewall(firewall.lines, firewall.home))
            except NotFound as error:
                await self._note(domain, domain.config.via)
                return f"they hold from the next start of “{domain.name}” on: {error}"
            await self._hosts.refresh(domain.key)
            if self.of(domain.key) == firewall:
                return ""
        return f"the rules of “{domain.name}” are changed all the time: look again"

    async def prepare(self, domain: Domain) -> str:
        """Before a start: let the network filter be there, and on the domain, that its rules come to; as ``reload``."""
        if is_filterable(domain.key, domain.config) and domain.config.firewall is not None:
            return await self._filters.let_hold(domain)
        return ""

    async def forget(self, domain: Domain) -> None:
        """Take away what is kept of the firewall of a domain that is gone."""
        if is_filterable(domain.key, domain.config):
            await self._filters.drop(domain.key)
        if domain.config.is_isolated and (paths := await asyncio.to_thread(daemon_paths, domain.key.connection)):
            await asyncio.to_thread(emulator_files(paths.volumes).forget, domain.key.uuid)

    async def lead(self, key: DomainKey, via: str) -> str:
        """Let a running domain have the network of the domain of a UUID, or this machine's for an empty *via*.

        Returns why it does not, in words. Only who has set that calls this: what others have read may be old.
        """
        domain = self._store.require(key)
        try:
            await self._ask(domain, SetVia(via))
        except NotFound as error:
            await self._note(domain, via)
            return f"it holds from the next start of “{domain.name}” on: {error}"
        return ""

    async def _note(self, domain: Domain, via: str) -> None:
        """Note for a domain that nobody keeps what is set: a saved state must not go on with what held before."""
        files = emulator_files((await self._paths(domain.key)).volumes)
        rules = rules_text(firewall_of(domain.config, time.time()), via)
        await asyncio.to_thread(files.note_rules, domain.key.uuid, rules)

    async def look_up(self, name: str) -> list[Address]:
        """Return the addresses that a name or an address means here; none where it is not known."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_NAME_SECONDS):
                answers = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError):
            return []
        return [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]

    async def state(self, key: DomainKey) -> NetworkState | None:
        """Return how the network of a running domain is; None where nobody keeps it."""
        domain = self._store.require(key)
        if not (domain.state.is_active and domain.config.is_isolated):
            return None
        try:
            return await ask_keeper(await self._folder(key), key.uuid, AskNetwork())
        except NotFound:
            return None

    async def _ask(self, domain: Domain, question: SetFirewall | SetVia) -> NetworkState:
        """Ask a domain's keeper, which may be about to begin."""
        folder, end = await self._folder(domain.key), time.monotonic() + _BEGINS
        while True:
            try:
                return await ask_keeper(folder, domain.key.uuid, question)
            except NotFound:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _folder(self, key: DomainKey) -> Path:
        return emulator_files((await self._paths(key)).volumes).folder

    async def _paths(self, key: DomainKey) -> DaemonPaths:
        paths = await asyncio.to_thread(daemon_paths, key.connection)
        if paths is None:
            raise QubesManagerError("it does not run on this machine")
        return paths


def _unguarded(domain: Domain, trouble: str) -> str:
    match domain.config.netvm:
        case "":
            return "it has no network"
        case "open":
            return trouble or "its network is open; “isolated” keeps it apart"
        case other:
            return f"its network is “{other}”, which is none of this program’s"
