"""Whether a connection's domains can have networks of their own, and giving them theirs."""

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.host.sound_server import emulator_path
from qubes_manager.backend.network.emulator_files import emulator_files
from qubes_manager.backend.network.emulator_trial import libvirt_takes, trouble_of
from qubes_manager.core.domain import Domain, DomainConfig, DomainState
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.core.firewall.control import rules_text
from qubes_manager.core.firewall.firewall import Firewall
from qubes_manager.core.firewall.of_domain import firewall_of
from qubes_manager.core.interfaces import ISOLATED, USER
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts

log = logging.getLogger(__name__)
_ELSEWHERE = "QEMU does not run as you on this machine there: choose a network of that libvirt"


@dataclass(frozen=True, slots=True)
class Emulator:
    """What a connection's domains are started by: QEMU's path, and that of ours; *trouble* is why there is none."""

    qemu: str = ""
    ours: str = ""
    trouble: str = ""


class Isolation:
    """Knows, while the program runs, what each connection's host can do."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._known: dict[str, Emulator] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def emulator(self, uri: str) -> Emulator:
        """Return what is to start a connection's domains; it is tried once. Raises HostUnreachable, TimedOut."""
        async with self._locks[uri]:
            if uri not in self._known:
                self._known[uri] = await self._find(uri)
            return self._known[uri]

    async def _find(self, uri: str) -> Emulator:
        paths = await asyncio.to_thread(daemon_paths, uri)
        if paths is None or "/session" not in uri:
            return Emulator(trouble=_ELSEWHERE)
        connection = self._hosts.connection(uri)
        qemu = await connection.call("read the host’s capabilities", emulator_path)
        if not qemu:
            return Emulator(trouble="libvirt knows no QEMU")
        files = emulator_files(paths.volumes)
        try:
            ours = await asyncio.to_thread(files.install, qemu)
        except (OSError, QubesManagerError) as error:
            return Emulator(qemu, trouble=f"its program cannot be put in place: {error}")
        trouble = await asyncio.to_thread(trouble_of, ours) or await libvirt_takes(connection, ours)
        return Emulator(qemu, "" if trouble else str(ours), trouble)

    async def chosen(self, uri: str, netvm: str) -> str:
        """Return what a new domain that is to have the network *netvm* gets: no network where it cannot be apart."""
        if netvm not in (ISOLATED, USER):
            return netvm
        found = await self.emulator(uri)
        if not found.trouble:
            return ISOLATED
        log.warning("the new domain gets no network: it cannot be kept apart here (%s)", found.trouble)
        return ""

    async def emulator_for(
        self, uri: str, netvm: str, via: str = "", firewall: Firewall | None = None
    ) -> tuple[str, str]:
        """Return what starts a new domain with the network *netvm*, and by which rules; both empty for QEMU itself.

        *via* is the UUID of the domain whose network it has.
        """
        if netvm != ISOLATED:
            return "", ""
        return (await self.emulator(uri)).ours, rules_text(firewall or Firewall(), via)

    async def renew(self, domain: Domain) -> None:
        """Before a start: let the domain have the network of its own that is meant for it, and its present rules.

        Where it cannot be had the domain starts with what it has, which its row says; raises Refused where another
        domain's was meant.
        """
        if domain.state is DomainState.SAVED or not wants_isolation(domain.config):
            return
        try:
            found = await self.emulator(domain.key.connection)
            if found.trouble:
                _refuse_other_way(domain, found.trouble)
                log.warning("“%s” starts with open networking: %s", domain.name, found.trouble)
                return
            await actions_on(self._hosts, domain).edit_config(lambda document: put_isolation(document, found))
        except Refused:
            raise
        except QubesManagerError as error:
            _refuse_other_way(domain, str(error))
            log.warning("“%s” starts with the network that it has: %s", domain.name, error)
            return
        await self._hosts.refresh(domain.key)


def _refuse_other_way(domain: Domain, trouble: str) -> None:
    """Raise Refused where a domain that is to have another one's network would start with this machine's."""
    config = domain.config
    if config.network_uuid and not config.is_isolated and wants_isolation(config):
        raise Refused(f"“{domain.name}” cannot have the network of “{domain.config.network}”: {trouble}")


def wants_isolation(config: DomainConfig) -> bool:
    """Whether the domain has user networking that nobody has chosen to be open."""
    return any(i.is_plain_user and not i.is_downstream for i in config.interfaces) and not config.open_network


def put_isolation(document: DomainEdit, found: Emulator) -> None:
    """Let the domain of a document be started as its configuration says."""
    config = document.config
    if config.emulator not in ("", found.qemu) and not config.is_isolated:
        # A QEMU of somebody's own stays what the domain runs in, and its network what that makes.
        return
    if wants_isolation(config) and found.ours:
        document.put_downstream(config.provides_network)
        document.put_isolation(found.ours, rules_text(_firewall(config), config.network_uuid))
    elif config.is_isolated and not wants_isolation(config) and found.qemu:
        document.put_downstream(False)
        document.take_isolation(found.qemu)


def _firewall(config: DomainConfig) -> Firewall:
    """Its rules; where they cannot be read, nothing is let through."""
    try:
        return firewall_of(config, time.time())
    except BadInput as error:
        log.warning("nothing is let through: %s", error)
        return Firewall(())
