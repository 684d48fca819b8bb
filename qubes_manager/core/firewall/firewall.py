"""A domain's firewall: its rules in order, and what they decide of a packet."""

import ipaddress
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Network, Protocol, parse_line

# What no domain ever reaches, whatever its rules say: this machine as the domain sees it, link-local addresses
# (RFC 3927, RFC 4291), where clouds keep their metadata, multicast and broadcast, and IPv4 in the dress of IPv6 (RFC
# 4291, RFC 6052).
NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "fe80::/10", "ff00::/8", "fd00:ec2::/32"),
    )
)
# The networks around the machine: RFC 1918, RFC 6598 (carriers'), RFC 4193.
HOME_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
MAX_RULES = 1000
# Bytes of all rules as they are written, without their comments: they start the domain as a variable of its emulator,
# of which the kernel takes 128 KiB (MAX_ARG_STRLEN in execve(2)).
_MAX_BYTES = 100_000
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Packet:
    """What begins a connection, or is sent alone: where it goes to."""

    to: Address
    proto: Protocol
    port: int = 0
    icmp_type: int = 8


class Barrier(Enum):
    """What refuses a packet before any rule is asked."""

    NEVER = "no domain reaches this machine, link-local addresses or multicast"
    HOME = "the home network is switched off for this domain"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a packet, and the rule (counted from 0) or the barrier that says so; neither: no rule matches."""

    action: Action
    rule: int | None = None
    barrier: Barrier | None = None


class Kind(Enum):
    """What a firewall comes to, as the settings offer it."""

    EVERYTHING = "everything"
    NO_HOME_NETWORK = "all but the home network"
    ONLY_THESE = "only these"


@dataclass(frozen=True, slots=True)
class Firewall:
    """The rules of a domain, the first of which that matches decides; what none matches is refused.

    Without *home* the networks around this machine are refused before any rule is asked. A new domain has one rule that
    accepts all, and no home network.
    """

    rules: tuple[FirewallRule, ...] = (FirewallRule(Action.ACCEPT),)
    home: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names that must be looked up."""
        return frozenset(rule.name for rule in self.rules if rule.name)

    @property
    def lines(self) -> str:
        """A line for each rule, as ``parse_firewall`` reads them."""
        return "\n".join(map(str, self.rules))

    @property
    def kind(self) -> Kind:
        """What it comes to, whatever its comments say."""
        if tuple(replace(rule, comment="") for rule in self.rules) != (FirewallRule(Action.ACCEPT),):
            return Kind.ONLY_THESE
        return Kind.EVERYTHING if self.home else Kind.NO_HOME_NETWORK

    def without_expired(self, now: float) -> "Firewall":
        """Those that still hold at *now* (seconds since 1970)."""
        return replace(self, rules=tuple(rule for rule in self.rules if not rule.has_expired(now)))

    def insert(self, rule: FirewallRule, before: int | None = None) -> "Firewall":
        """With *rule* before that of a number, counted from 0, or last; raises BadInput."""
        place = len(self.rules) if before is None else self._checked(before)
        return replace(self, rules=checked_rules((*self.rules[:place], rule, *self.rules[place:])))

    def remove(self, number: int) -> "Firewall":
        """Without the rule of a number, counted from 0; raises BadInput."""
        place = self._checked(number)
        return replace(self, rules=(*self.rules[:place], *self.rules[place + 1 :]))

    def rule(self, number: int) -> FirewallRule:
        """The rule of a number, counted from 0; raises BadInput."""
        return self.rules[self._checked(number)]

    def _checked(self, number: int) -> int:
        if not 0 <= number < len(self.rules):
            there = f"the rules are 0 to {len(self.rules) - 1}" if self.rules else "there are no rules"
            raise BadInput("rule number", str(number), there)
        return number

    def decide(
        self, packet: Packet, now: float, look_up: Callable[[str], Collection[Address]], dns: Collection[Address]
    ) -> Decision:
        """What becomes of *packet* at *now*, where *look_up* knows the addresses of names, and *dns* those of DNS."""
        if packet.to not in dns:
            if _is_in(packet.to, NEVER):
                return Decision(Action.DROP, barrier=Barrier.NEVER)
            if not self.home and _is_in(packet.to, HOME_NETWORKS):
                return Decision(Action.DROP, barrier=Barrier.HOME)
        for number, rule in enumerate(self.rules):
            if not rule.has_expired(now) and _matches(rule, packet, look_up, dns):
                return Decision(rule.action, number)
        return Decision(Action.DROP)


def _matches(
    rule: FirewallRule, packet: Packet, look_up: Callable[[str], Collection[Address]], dns: Collection[Address]
) -> bool:
    if rule.dns:
        is_dns = packet.port == _DNS_PORT and packet.proto in (Protocol.TCP, Protocol.UDP)
        return is_dns and packet.to in dns and rule.proto in (None, packet.proto)
    if isinstance(rule.host, str):
        if packet.to not in look_up(rule.host):
            return False
    elif rule.host is not None and packet.to not in rule.host:
        return False
    return (
        rule.proto in (None, packet.proto)
        and (rule.ports is None or packet.port in rule.ports)
        and rule.icmp_type in (None, packet.icmp_type)
    )


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def parse_firewall(text: str, now: float, *, home: bool = False) -> Firewall:
    """Return the firewall of the lines of *text*; raises BadInput, which names the line."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_RULES:
        raise BadInput("rules", str(len(lines)), f"a domain has {MAX_RULES} at most")
    rules: list[FirewallRule] = []
    for number, line in enumerate(lines):
        try:
            rules.append(parse_line(line, now))
        except BadInput as error:
            raise BadInput(f"rule {number}, {error.field}", error.found, str(error).partition("; ")[2]) from None
    return Firewall(checked_rules(rules), home)


def checked_rules(rules: Sequence[FirewallRule]) -> tuple[FirewallRule, ...]:
    """The same rules; raises BadInput where they are too many, or too long to start a domain with."""
    if len(rules) > MAX_RULES:
        raise BadInput("rules", str(len(rules)), f"a domain has {MAX_RULES} at most")
    if (size := sum(len(rule.bare) + 1 for rule in rules)) > _MAX_BYTES:
        raise BadInput("rules", f"{size} bytes", f"all rules of a domain have {_MAX_BYTES} bytes at most")
    return tuple(rules)
