"""A domain that leads others through a WireGuard tunnel, and lets nothing past it.

What it sends reaches the tunnel's servers and nothing else: not by what runs in it, but by its firewall, which is this
machine's. So whatever breaks in it, what others send goes through the tunnel or nowhere.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from ipaddress import ip_address, ip_network

from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import Domain, DomainClass, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.firewall.firewall import HOME_NETWORKS, Firewall
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Ports, Protocol, parse_address
from qubes_manager.core.interfaces import ISOLATED
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.wireguard import Tunnel
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.domains.removal import Removal
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.making.creation import Creation
from qubes_manager.services.network.firewalls import Firewalls
from qubes_manager.services.network.isolation import Isolation
from qubes_manager.services.network.providers import provider_named

log = logging.getLogger(__name__)

# As guest/debian/vpn.sh reads it.
_PLACE = "/rw/config/vpn/wireguard.conf"
_STORE = f"""set -eu
command -v wg-quick nft >/dev/null || {{ echo tools >&2; exit 3; }}
umask 077
mkdir -p {_PLACE.rpartition("/")[0]}
cat >{_PLACE}.new
mv {_PLACE}.new {_PLACE}
"""
_BEGIN = "systemctl restart qubes-manager-network qubes-manager-vpn"
_HANDSHAKES = "wg show vpn0 latest-handshakes"
_NO_TOOLS = 3
# Seconds in which a server answers that is there.
_ANSWERS, _PAUSE = 20.0, 1.0


class Vpn:
    """Makes such domains."""

    def __init__(
        self,
        store: DomainStore,
        isolation: Isolation,
        creation: Creation,
        firewalls: Firewalls,
        lifecycle: Lifecycle,
        commands: GuestCommands,
        removal: Removal,
    ) -> None:
        self._store = store
        self._isolation = isolation
        self._creation = creation
        self._firewalls = firewalls
        self._lifecycle = lifecycle
        self._commands = commands
        self._removal = removal

    async def create(
        self, uri: str, request: CreationRequest, tunnel: Tunnel, *, progress: Progress = SILENT
    ) -> tuple[DomainKey, str]:
        """Make one, which runs then, and return what its user should know; on any error nothing is left behind.

        Its own network is this machine's, or that of another domain where *request* names one. Names of servers are
        looked up now, and their addresses stay: who answers DNS later has no part in where the tunnel leads. Raises
        BadInput, Refused, NotFound, HostCallFailed, Cancelled.
        """
        if request.klass is not DomainClass.APP:
            raise BadInput("class", request.klass, "a domain for a tunnel is an AppVM: what it keeps is its tunnel")
        if trouble := (await self._isolation.emulator(uri)).trouble:
            raise Refused(f"no domain can have a network of its own to give there: {trouble}")
        provider = provider_named(self._store, uri, request.netvm)
        progress.step("Looking for the tunnel’s servers")
        tunnel = await self._with_addresses(tunnel, provider)
        netvm = provider.name if provider else ISOLATED
        # From its first moment on: a domain of that name without its rules would let others out as they are.
        request = replace(request, netvm=netvm, provides_network=True, firewall=tunnel_firewall(tunnel))
        key = await self._creation.create(uri, request, progress=progress)
        try:
            progress.step(f"Starting “{request.name}”")
            await self._lifecycle.start(key, request.passphrase)
            await self._put(key, request, tunnel)
            progress.step("Waiting for the tunnel’s server")
            return key, await self._note(key, tunnel)
        except BaseException:
            await asyncio.shield(self._take_back(key))
            raise

    async def _with_addresses(self, tunnel: Tunnel, provider: Domain | None) -> Tunnel:
        peers = []
        for peer in tunnel.peers:
            if not peer.host:
                peers.append(peer)
                continue
            if provider and not parse_address(peer.host):
                raise Refused(
                    f"the file names its server “{peer.host}”, and this machine is not asked for that where the tunnel "
                    f"goes through “{provider.name}”: write the server’s address there"
                )
            found = await self._firewalls.look_up(peer.host)
            if not found:
                raise NotFound(f"the address of the tunnel’s server “{peer.host}” is not known")
            peers.append(replace(peer, host=str(_preferred(found))))
        return replace(tunnel, peers=tuple(peers))

    async def _put(self, key: DomainKey, request: CreationRequest, tunnel: Tunnel) -> None:
        said = bytearray()
        for line, data in ((_STORE, tunnel.to_file().encode()), (_BEGIN, b"")):
            code = await self._commands.run(key, line, user="root", data=data, out=said.extend, err=said.extend)
            if code == _NO_TOOLS:
                raise Refused(
                    f"the template “{request.template}” has no WireGuard: install wireguard-tools and nftables in it"
                )
            if code:
                raise Refused("the tunnel does not begin", said.decode("utf-8", "replace"))

    async def _note(self, key: DomainKey, tunnel: Tunnel) -> str:
        """What is to be known of it: whether a server has answered, and what was not taken over from the file."""
        notes = []
        end = time.monotonic() + _ANSWERS
        while not await self._has_answered(key):
            if time.monotonic() > end:
                notes.append("the tunnel’s server has not answered yet: nothing goes through before it does")
                break
            await asyncio.sleep(_PAUSE)
        if tunnel.left_out:
            notes.append(f"left out of the file: {', '.join(tunnel.left_out)} (it does not say what runs here)")
        if not tunnel.dns:
            notes.append("the file names no DNS server: those whose network it is can look no names up")
        return "; ".join(notes)

    async def _has_answered(self, key: DomainKey) -> bool:
        said = bytearray()
        if await self._commands.run(key, _HANDSHAKES, user="root", out=said.extend, err=None):
            return False
        return any(line.split()[-1:] not in ([], ["0"]) for line in said.decode("utf-8", "replace").splitlines())

    async def _take_back(self, key: DomainKey) -> None:
        with contextlib.suppress(QubesManagerError):
            await self._lifecycle.kill(key)
        try:
            await self._removal.remove(key)
        except QubesManagerError as error:
            log.warning("what was made of it stays: %s", error)


def tunnel_firewall(tunnel: Tunnel) -> Firewall:
    """What reaches the tunnel's servers and nothing else; their hosts are addresses."""
    servers = [peer for peer in tunnel.peers if peer.host]
    near = any(ip_address(peer.host) in network for peer in servers for network in HOME_NETWORKS)
    rules = [
        FirewallRule(
            Action.ACCEPT,
            host=ip_network(peer.host),
            proto=Protocol.UDP,
            ports=Ports(peer.port, peer.port),
            comment="the tunnel",
        )
        for peer in servers
    ]
    return Firewall(tuple(dict.fromkeys(rules)), home=near)


def _preferred(addresses: list[Address]) -> Address:
    """IPv4 where there is any: it goes wherever this machine has a network."""
    return min(addresses, key=lambda address: address.version)
