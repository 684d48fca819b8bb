"""A domain's firewall in the words of libvirt's network filters, where those can say it; pure.

They know addresses, protocols and ports, no names, and nothing that ends by itself. What a domain asks of DNS is
decided first, for each server; all else that those answer is this machine's, and no domain's.
"""

import ipaddress
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.firewall import HOME_NETWORKS, NEVER, Firewall, Packet
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Network, Ports, Protocol

# What a filter can be put on.
FILTERED_KINDS = ("network", "bridge")
_DNS = Ports(53, 53)


@dataclass(frozen=True, slots=True)
class FilterRule:
    """What a domain sends, of one version of IP; what is not said matches anything."""

    action: Action
    version: int
    to: Network | None = None
    proto: Protocol | None = None
    ports: Ports | None = None
    icmp_type: int | None = None

    def matches(self, packet: Packet) -> bool:
        """Whether it decides of *packet*."""
        return (
            packet.to.version == self.version
            and (self.to is None or packet.to in self.to)
            and self.proto in (None, packet.proto)
            and (self.ports is None or packet.port in self.ports)
            and self.icmp_type in (None, packet.icmp_type)
        )


def filter_rules(firewall: Firewall, dns: Collection[Address]) -> list[FilterRule]:
    """Return the rules in order; what none matches is refused. *dns* answers the domain's questions.

    Raises BadInput for a rule that no filter can say, by its number.
    """
    for number, rule in enumerate(firewall.rules):
        _refuse_unsayable(rule, number, dns)
    return [*_of_dns(firewall, dns), *_barriers(firewall), *(r for rule in firewall.rules for r in _sayings(rule))]


def _refuse_unsayable(rule: FirewallRule, number: int, dns: Collection[Address]) -> None:
    why = ""
    if rule.name:
        why = f"“{rule.name}” is a name, and libvirt’s network filters look none up: give addresses"
    elif rule.expire is not None:
        why = "libvirt’s network filters have no rules that end by themselves: leave expire out"
    elif rule.dns and not dns:
        why = "who answers DNS on this network is not known to libvirt: give the server’s address, and port 53"
    if why:
        raise BadInput(f"rule {number}", str(rule), why)


def _of_dns(firewall: Firewall, dns: Collection[Address]) -> Iterator[FilterRule]:
    for server in dns:
        to = ipaddress.ip_network(server)
        for proto in (Protocol.UDP, Protocol.TCP):
            decision = firewall.decide(Packet(server, proto, 53), 0, lambda _name: (), dns)
            yield FilterRule(decision.action, server.version, to, proto, _DNS)
        yield FilterRule(Action.DROP, server.version, to)


def _barriers(firewall: Firewall) -> Iterator[FilterRule]:
    for network in (*NEVER, *(() if firewall.home else HOME_NETWORKS)):
        yield FilterRule(Action.DROP, network.version, network)


def _sayings(rule: FirewallRule) -> Iterator[FilterRule]:
    if rule.dns:
        return
    assert not isinstance(rule.host, str)
    for version in (4, 6) if rule.host is None else (rule.host.version,):
        yield FilterRule(rule.action, version, rule.host, rule.proto, rule.ports, rule.icmp_type)
