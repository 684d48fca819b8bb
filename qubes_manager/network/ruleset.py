"""A domain's firewall as rules for nftables (nft(8)); pure.

What decides is where a connection was begun to (``ct original``), so that packets of either direction come to the same
rule. Who was accepted carries a mark: the number of the set of rules that accepted it, and of its rule. Packets with
the present number pass at once, and are counted for their rule; all others are decided anew. So a new set of rules cuts
those connections that it forbids, and leaves the others alone.
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qubes_manager.core.firewall.dns import DNS4, DNS6
from qubes_manager.core.firewall.firewall import HOME_NETWORKS, NEVER, Firewall
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Network, Protocol
from qubes_manager.network.addresses import DNS_PORT, GuestNetwork

# Bytes of text that nft is given at a time: what it makes of them goes to the kernel in one message, for which who is
# no real root has the room that all sockets have (net.core.wmem_max).
_PIECE = 16 << 10
CARD, UPLINK = "card", "uplink"
# Connections that a domain may have at a time, destinations that are remembered as refused, and answers to what is
# refused in a second: a guest that asks for more gets none.
MOST_CONNECTIONS = 8192
MOST_REFUSED = 512
_MOST_ANSWERS = 500
MAX_GENERATION = 0xFFFF
REFUSED = "refused"
# The mark of a connection of which the domain was told that it is over; no set of rules has it.
_TOLD = 0xFFFF

# Of a domain's ARP, neighbour discovery and questions of DNS so many in a second; the kernel's table of neighbours is
# one for all namespaces. Of IPv6 a domain has so many addresses at a time, each of which is a neighbour.
_ERRORS = "destination-unreachable, time-exceeded"
_MOST_NEIGHBOURS, _MOST_QUESTIONS, _MOST_ADDRESSES = 20, 200, 32


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules are made with: addresses of this machine, those of the names in them, the number of this set."""

    host: Collection[Address]
    names: Mapping[str, Collection[Address]]
    generation: int
    now: float
    # What is reached from this machine without a router.
    links: Collection[Network] = ()


def first_rules(network: GuestNetwork) -> str:
    """What is there from the beginning and never changes: the address of all that goes out, and what is bounded.

    A limit that was made anew with the rules would begin anew too.
    """
    sender = f"{{ 0.0.0.0, {network.guest} }}"
    ours = f'iifname "{CARD}"'
    lines = [
        "table inet out {",
        "  set addresses {",
        "    type ipv6_addr",
        "    flags dynamic,timeout",
        "    timeout 10m",
        f"    size {_MOST_ADDRESSES}",
        "  }",
        *_chain("after", iter([f'{ours} oifname "{UPLINK}" masquerade']), "type nat hook postrouting priority 100"),
        *_chain(
            "bounds",
            iter(
                [
                    f"{ours} ct state new ct count over {MOST_CONNECTIONS} drop",
                ]
            ),
            "type filter hook forward priority -10",
        ),
        # Before anything is answered, errors too: to whom an answer goes becomes a neighbour.
        *_chain(
            "senders",
            iter(
                [
                    f"{ours} ip saddr != {sender} drop",
                    # Where no more fit, the packet goes no further than this rule.
                    f"{ours} ip6 saddr {network.prefix6} update @addresses {{ ip6 saddr }} accept",
                    f"{ours} ip6 saddr != {{ ::, fe80::/10 }} drop",
                ]
            ),
            "type filter hook prerouting priority -10",
        ),
        # What is forwarded has an address of the prefix; who has none is told of no error.
        *_chain(
            "errors",
            iter([f'oifname "{CARD}" ip6 daddr fe80::/10 icmpv6 type {{ {_ERRORS} }} drop']),
            "type filter hook output priority -10",
        ),
        *_chain(
            "questions",
            iter([f"{ours} udp dport {DNS_PORT} limit rate over {_MOST_QUESTIONS}/second drop"]),
            "type filter hook input priority -10",
        ),
        "}",
        "table netdev guard {",
        *_chain(
            "card",
            iter(
                [
                    f"ether type arp arp saddr ip != {sender} drop",
                    f"ether type arp limit rate over {_MOST_NEIGHBOURS}/second drop",
                    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } "
                    f"limit rate over {_MOST_NEIGHBOURS}/second drop",
                    "ether type != { arp, ip, ip6 } drop",
                ]
            ),
            f'type filter hook ingress device "{CARD}" priority 0',
        ),
        "}",
    ]
    return "\n".join(lines) + "\n"


def counter(number: int) -> str:
    """The name of a rule's counter; rules are counted from 0."""
    return f"r{number}"


def table(generation: int) -> str:
    """The name of the table of a set of rules."""
    return f"domain{generation}"


def ruleset(firewall: Firewall, network: GuestNetwork, around: Surroundings, before: int = 0) -> list[str]:
    """Return what puts the rules into effect, piece by piece: nothing has changed until the last one.

    That one takes the table of the set *before* away in the same step (0: there is none).
    """
    mark, name = around.generation << 16, table(around.generation)
    live = [(number, rule) for number, rule in enumerate(firewall.rules) if not rule.has_expired(around.now)]
    near = () if firewall.home else (*HOME_NETWORKS, *around.links)
    first = [
        *without_table(around.generation).splitlines(),
        f"table inet {name} {{",
        *_sets(around.host),
        f"  counter {REFUSED} {{ }}",
        "  map counted {",
        "    type mark : counter",
        "  }",
        *_chain("refuse", _refusing()),
        *_chain("barriers", _barriers(near)),
        *_chain("rules", iter(())),
        "}",
    ]
    middle = [
        "\n".join(
            (
                f"add counter inet {name} {counter(number)}",
                f'add element inet {name} counted {{ {mark | number + 1:#010x} : "{counter(number)}" }}',
                *(f"add rule inet {name} rules {line}" for line in _rule(rule, number, mark, around.names)),
            )
        )
        for number, rule in live
    ]
    last = [
        f"table inet {name} {{",
        *_chain("decide", _deciding(mark)),
        *_chain("forward", _forwarding(network), _hook("forward")),
        *_chain("input", _arriving(network), _hook("input")),
        *_chain("output", _leaving(), _hook("output")),
        "}",
        *([f"delete table inet {table(before)}"] if before else []),
    ]
    return _pieces(["\n".join(first), *middle, "\n".join(last)])


def without_table(generation: int) -> str:
    """What takes the table of a set of rules away, whether it is there or not."""
    return f"add table inet {table(generation)}\ndelete table inet {table(generation)}\n"


def _pieces(parts: Sequence[str]) -> list[str]:
    """The parts in the same order, as few together as have room for each other."""
    pieces = [""]
    for part in parts:
        if pieces[-1] and len(pieces[-1]) + len(part) > _PIECE:
            pieces.append("")
        pieces[-1] += f"{part}\n"
    return pieces


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


def _hook(name: str) -> str:
    return f"type filter hook {name} priority 0\n    policy drop"


def _chain(name: str, lines: Iterator[str], head: str = "") -> Iterator[str]:
    yield f"  chain {name} {{"
    if head:
        yield f"    {head}"
    yield from (f"    {line}" for line in lines)
    yield "  }"


def _refusing() -> Iterator[str]:
    yield f"counter name {REFUSED}"
    ports = "meta l4proto { tcp, udp }"
    yield f'iifname "{CARD}" {ports} add @refused4 {{ ip daddr . ip protocol . th dport }}'
    yield f'iifname "{CARD}" {ports} add @refused6 {{ ip6 daddr . meta l4proto . th dport }}'
    # A domain that only listens would wait for ever: the first packet that does not come through becomes the end of its
    # connection. The sender hears of it at its next packet.
    told = f"{_TOLD:#010x}"
    yield f'iifname "{UPLINK}" meta l4proto tcp ct mark != {told} ct mark set {told} tcp flags set rst accept'
    yield f"limit rate over {_MOST_ANSWERS}/second drop"
    # An ICMP error stops nobody who is connected already.
    yield "meta l4proto tcp reject with tcp reset"
    yield "reject with icmpx admin-prohibited"


def _barriers(near: Collection[Network]) -> Iterator[str]:
    """What is refused before any rule: this machine, what no domain reaches, and the networks that are *near*."""
    for version in (4, 6):
        yield f"{_to(version)} @host{version} goto refuse"
    for networks in (NEVER, near):
        four = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
        six = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
        for version, kept in ((4, [str(n) for n in four]), (6, [str(n) for n in six])):
            if kept:
                yield f"{_to(version)} {{ {', '.join(kept)} }} goto refuse"


def _deciding(mark: int) -> Iterator[str]:
    yield "ct state invalid drop"
    yield f"ct mark and 0xffff0000 == {mark:#010x} counter name ct mark map @counted accept"
    # An error about a connection is as that: a guest can make them up, and a rule for ICMP is not meant.
    yield "ct state related drop"
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
        # Answers to the namespace itself, where another domain is its network.
        yield f'iifname "{UPLINK}" ip saddr {DNS4} {protocol} sport {DNS_PORT} ct state established accept'


def _leaving() -> Iterator[str]:
    """What gives out addresses, and answers DNS, speaks with the domain and with nobody else.

    Names are asked for where the domain itself asks, when that is another one.
    """
    yield f'oifname {{ "lo", "{CARD}" }} accept'
    yield f'oifname "{UPLINK}" ip daddr {DNS4} meta l4proto {{ tcp, udp }} th dport {DNS_PORT} accept'
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
