"""A firewall in the words of libvirt's network filters: the same is decided, and what cannot be said is refused."""

import ipaddress
import random

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.filter_rules import filter_rules
from qubes_manager.core.firewall.firewall import Firewall, Packet, parse_firewall
from qubes_manager.core.firewall.rules import Action, Address, Protocol

NOW = 1_800_000_000.0
DNS: list[Address] = [ipaddress.ip_address("192.168.122.1"), ipaddress.ip_address("fd00:122::1")]
PLACES = [
    *("192.168.122.1", "192.168.122.77", "10.1.2.3", "127.0.0.1", "169.254.169.254", "192.0.2.1", "192.0.2.130"),
    *("198.51.100.7", "255.255.255.255", "fd00:122::1", "fd00::5", "fe80::1", "2001:db8::1", "2001:db8:1::1", "::1"),
]
LINES = [
    "accept",
    "drop",
    "accept specialtarget=dns",
    "drop specialtarget=dns proto=tcp",
    "accept 192.0.2.0/25",
    "drop 192.0.2.0/24 tcp 80-90",
    "accept 198.51.100.7 udp 53",
    "accept dst6=2001:db8::/48 tcp 443",
    "drop proto=icmp icmptype=8",
    "accept proto=icmp",
    "accept proto=udp dstports=53",
    "accept 10.0.0.0/8 tcp",
    "drop 192.168.122.1",
    "accept fd00::/8",
]


def packets() -> list[Packet]:
    found = []
    for place in PLACES:
        to = ipaddress.ip_address(place)
        found += [Packet(to, proto, port) for proto in (Protocol.TCP, Protocol.UDP) for port in (53, 80, 443)]
        found += [Packet(to, Protocol.ICMP, 0, kind) for kind in (8, 3)]
    return found


@pytest.mark.parametrize("seed", range(60))
def test_a_filter_decides_as_the_firewall_does(seed: int) -> None:
    chance = random.Random(seed)
    lines = chance.sample(LINES, chance.randint(0, 6))
    firewall = parse_firewall("\n".join(lines), NOW, home=chance.random() < 0.5)
    rules = filter_rules(firewall, DNS)
    for packet in packets():
        found = next((rule.action for rule in rules if rule.matches(packet)), Action.DROP)
        if packet.to in DNS and packet.port != 53:
            # That is this machine.
            assert found is Action.DROP
        else:
            assert found is firewall.decide(packet, NOW, lambda _name: (), DNS).action, (lines, packet)


@pytest.mark.parametrize(
    ("line", "dns", "why"),
    [
        ("accept example.org", DNS, "rule 1: .* is a name, and libvirt’s network filters look none up"),
        ("accept expire=+60", DNS, "rule 1: .* leave expire out"),
        ("accept specialtarget=dns", [], "rule 1: .* give the server’s address, and port 53"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_number(line: str, dns: list[Address], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        filter_rules(parse_firewall(f"drop 192.0.2.1\n{line}", NOW), dns)


def test_without_rules_nothing_is_let_through() -> None:
    assert {rule.action for rule in filter_rules(Firewall(()), DNS)} == {Action.DROP}
