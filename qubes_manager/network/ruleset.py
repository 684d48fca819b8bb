"""A domain's firewall as rules for nftables (nft(8)); pure.

What decides is where a connection was begun to (``ct original``), so that packets of either direction come to the same
rule. Who was accepted carries a mark: the number of the set of rules that accepted it, and of its rule. Packets with
the present number pass at once, and are counted for their rule; all others are decided anew. So a new set of rules cuts
those connections that it forbids, and leaves the others alone.
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from qubes_manager.core.firewall.firewall import HOME_NETWORKS, NEVER, Firewall
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Network, Protocol
from qubes_manager.network.addresses import DNS4, DNS6, DNS_PORT, GuestNetwork

TABLE = "domain"
CARD, UPLINK = "card", "uplink"
# Connections that a domain may have at a time, destinations that are remembered as refused, and answers to what is
# refused in a second: a guest that asks for more gets none.
MOST_CONNECTIONS = 8192
MOST_REFUSED = 512
_MOST_ANSWERS = 500
MAX_GENERATION = 0xFFFF
REFUSED = "refused"

_FIRST = """table inet out {
  chain after {
    type nat hook postrouting priority 100
    iifname "card" oifname "uplink" masquerade
  }
}
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules are made with: addresses of this machine, those of the names in them, the number of this set."""

    host: Collection[Address]
    names: Mapping[str, Collection[Address]]
    generation: int
    now: float


def first_rules() -> str:
    """What is there from the beginning and never changes: all that goes out has the namespace's own address."""
    return _FIRST


def counter(number: int) -> str:
    """The name of a rule's counter; rules are counted from 0."""
    return f"r{number}"


def ruleset(firewall: Firewall, network: GuestNetwork, around: Surroundings) -> str:
    """Return the whole table, which takes the place of the one before in one step."""
    mark = around.generation << 16
    live = [(number, rule) for number, rule in enumerate(firewall.rules) if not rule.has_expired(around.now)]
    counted = ", ".join(f'{mark | number + 1:#010x} : "{counter(number)}"' for number, _rule in live)
    lines = [
        f"table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        *_sets(around.host),
        *(f"  counter {counter(number)} {{ }}" for number, _rule in live),
        f"  counter {REFUSED} {{ }}",
        "  map counted {",
        "    type mark : counter",
        *([f"    elements = {{ {counted} }}"] if counted else []),
        "  }",
        *_chain("refuse", _refusing()),
        *_chain("barriers", _barriers(home=firewall.home)),
        *_chain("rules", (line for number, rule in live for line in _rule(rule, number, mark, around.names))),
        *_chain("decide", _deciding(mark)),
        *_chain("forward", _forwarding(network), hook="forward"),
        *_chain("input", _arriving(network), hook="input"),
        *_chain("output", _leaving(), hook="output"),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _sets(host: Collection[Address]) -> Iterator[str]:
    for version in (4, 6):
        yield f"  set host{version} {{"
        yield f"    type ipv{version}_addr"
        if own := ", ".join(sorted(str(address) for address in host if address.version == version)):
            yield f"    elements = {{ {own} }}"
        yield "  }"
        yield f"  set refused{version} {{"
        yield f"    type ipv{version}_addr . inet_proto . inet_service"
        yield "    flags dynamic,timeout"
        yield "    timeout 1m"
        yield f"    size {MOST_REFUSED}"
        yield "  }"


def _chain(name: str, lines: Iterator[str], hook: str = "") -> Iterator[str]:
    yield f"  chain {name} {{"
    if hook:
        yield f"    type filter hook {hook} priority 0"
        yield "    policy drop"
    yield from (f"    {line}" for line in lines)
    yield "  }"


def _refusing() -> Iterator[str]:
    yield f"counter name {REFUSED}"
    ports = "meta l4proto { tcp, udp }"
    yield f'iifname "{CARD}" {ports} add @refused4 {{ ip daddr . ip protocol . th dport }}'
    yield f'iifname "{CARD}" {ports} add @refused6 {{ ip6 daddr . meta l4proto . th dport }}'
    yield f"limit rate over {_MOST_ANSWERS}/second drop"
    # An ICMP error stops nobody who is connected already.
    yield "meta l4proto tcp reject with tcp reset"
    yield "reject with icmpx admin-prohibited"


def _barriers(*, home: bool) -> Iterator[str]:
    for version in (4, 6):
        yield f"{_to(version)} @host{version} goto refuse"
    for networks in (NEVER, () if home else HOME_NETWORKS):
        for version in (4, 6):
            if chosen := ", ".join(str(network) for network in networks if network.version == version):
                yield f"{_to(version)} {{ {chosen} }} goto refuse"


def _deciding(mark: int) -> Iterator[str]:
    yield "ct state invalid drop"
    yield f"ct mark and 0xffff0000 == {mark:#010x} counter name ct mark map @counted accept"
    yield f"ct state new ct count over {MOST_CONNECTIONS} goto refuse"
    yield f"{_to(4)} != {DNS4} jump barriers"
    yield f"{_to(6)} != {DNS6} jump barriers"
    yield "jump rules"
    yield "goto refuse"


def _forwarding(network: GuestNetwork) -> Iterator[str]:
    yield f'iifname "{CARD}" ip saddr != {network.guest} drop'
    yield f'iifname "{CARD}" ip6 saddr != {network.prefix6} drop'
    yield f'iifname "{CARD}" oifname "{UPLINK}" jump decide'
    # Nothing out there begins to speak with the domain.
    yield f'iifname "{UPLINK}" oifname "{CARD}" ct state established,related ct direction reply jump decide'
    yield f'iifname "{UPLINK}" oifname "{CARD}" ct state related jump decide'


def _arriving(network: GuestNetwork) -> Iterator[str]:
    """What the namespace itself answers: how to get an address, who is its neighbour, and DNS."""
    yield 'iifname "lo" accept'
    neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert"
    yield f'iifname "{UPLINK}" {neighbours} }} accept'
    yield f'iifname "{CARD}" {neighbours}, nd-router-solicit }} accept'
    yield f'iifname "{CARD}" udp dport 67 limit rate 50/second accept'
    yield f'iifname "{CARD}" ip daddr {network.gateway} icmp type echo-request limit rate 20/second accept'
    for protocol in (Protocol.UDP, Protocol.TCP):
        yield f'iifname "{CARD}" ip saddr {network.guest} ip daddr {DNS4} {protocol} dport {DNS_PORT} jump decide'
        yield f'iifname "{CARD}" ip6 saddr {network.prefix6} ip6 daddr {DNS6} {protocol} dport {DNS_PORT} jump decide'


def _leaving() -> Iterator[str]:
    """What gives out addresses, and answers DNS, speaks with the domain and with nobody else."""
    yield f'oifname {{ "lo", "{CARD}" }} accept'
    yield f'oifname "{UPLINK}" tcp flags & rst == rst accept'
    yield f'oifname "{UPLINK}" meta l4proto {{ icmp, ipv6-icmp }} accept'


def _rule(rule: FirewallRule, number: int, mark: int, names: Mapping[str, Collection[Address]]) -> Iterator[str]:
    verdict = f"ct mark set {mark | number + 1:#010x} " if rule.action is Action.ACCEPT else ""
    verdict += f"counter name {counter(number)} " + ("accept" if rule.action is Action.ACCEPT else "goto refuse")
    for where in _places(rule, names):
        for what in _kinds(rule, where):
            yield " ".join(filter(None, (where, what, verdict)))


def _places(rule: FirewallRule, names: Mapping[str, Collection[Address]]) -> Iterator[str]:
    """Where to a rule applies, once for each version of IP; empty where it says nothing of that."""
    if rule.dns:
        yield f"{_to(4)} {DNS4}"
        yield f"{_to(6)} {DNS6}"
    elif rule.host is None:
        yield ""
    else:
        found: Collection[Network | Address] = names.get(rule.host, ()) if isinstance(rule.host, str) else [rule.host]
        for version in (4, 6):
            if chosen := ", ".join(sorted(str(place) for place in found if place.version == version)):
                yield f"{_to(version)} {{ {chosen} }}"


def _kinds(rule: FirewallRule, where: str) -> Iterator[str]:
    """Which packets a rule applies to, once for each way to say it."""
    if rule.dns:
        protocols = [rule.proto] if rule.proto else [Protocol.TCP, Protocol.UDP]
        yield from (f"meta l4proto {protocol} ct original proto-dst {DNS_PORT}" for protocol in protocols)
    elif rule.proto is Protocol.ICMP:
        for version, name in ((4, "icmp"), (6, "icmpv6")):
            if where and not where.startswith(_to(version)):
                continue
            yield f"{name} type {rule.icmp_type}" if rule.icmp_type is not None else f"meta l4proto {_ICMP[version]}"
    elif rule.proto and rule.ports:
        yield f"meta l4proto {rule.proto} ct original proto-dst {rule.ports}"
    else:
        yield f"meta l4proto {rule.proto}" if rule.proto else ""


_ICMP = {4: "icmp", 6: "ipv6-icmp"}


def _to(version: int) -> str:
    return "meta nfproto ipv4 ct original ip daddr" if version == 4 else "meta nfproto ipv6 ct original ip6 daddr"


def parse_address(text: str) -> Address | None:
    """Return the address in *text*, whatever scope it names; None where it is none."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
