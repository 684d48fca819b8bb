"""Rules for nftables: the kernel takes them, and each line of the firewall says what it says."""

import ipaddress
import subprocess

import pytest

from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.core.firewall.rules import Action, FirewallRule, parse_address
from qubes_manager.network.addresses import guest_network
from qubes_manager.network.ruleset import Surroundings, first_rules, ruleset

NOW = 1_800_000_000.0
NETWORK = guest_network("5a3c1b1e-6a0e-4d6b-9d58-9c2a9b7b2f10")
HOST = frozenset(map(ipaddress.ip_address, ("192.0.2.2", "2001:db8::2", "fe80::1", "127.0.0.1")))
LINK = ipaddress.ip_network("2001:db8:1::/64")
NAMES = {"example.org": [ipaddress.ip_address("198.51.100.80"), ipaddress.ip_address("2001:db8::80")]}
EVERYTHING = """
accept specialtarget=dns
accept specialtarget=dns proto=udp
drop 192.0.2.80 tcp 22
accept example.org tcp 1-1024
accept unknown.example
accept proto=icmp
accept 192.0.2.0/24 icmp icmptype=8
drop proto=icmp icmptype=3
accept 2001:db8::/32 udp
accept 2001:db8::/32 icmp
accept proto=tcp dstports=443
accept 198.51.100.0/24 expire=1799999999
accept comment=all; of it [here]
"""


def made(firewall: Firewall, generation: int = 1, before: int = 0) -> list[str]:
    return ruleset(firewall, NETWORK, Surroundings(HOST, NAMES, generation, NOW, [LINK]), before)


def in_kernel(*texts: str) -> str:
    """What nft says in a namespace of its own when it is given texts one after the other."""
    script = "\n".join(f"nft -f - <<'END' || exit 1\n{text}\nEND" for text in texts) + "\nnft list ruleset"
    done = subprocess.run(
        ["unshare", "-Urn", "sh"], input=script, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rules_of(pieces: list[str]) -> list[str]:
    start = "add rule inet domain3 rules "
    return [line.removeprefix(start) for piece in pieces for line in piece.splitlines() if line.startswith(start)]


@pytest.mark.parametrize("home", [True, False])
def test_the_kernel_takes_every_kind_of_rule_and_the_next_set_in_its_place(home: bool) -> None:
    firewall = parse_firewall(EVERYTHING, NOW, home=home)
    sets = made(firewall, 0xFFFF), made(firewall, 1, 0xFFFF), made(Firewall(()), 2, 1)
    shown = in_kernel(first_rules(NETWORK), *sets[0], *sets[1], *sets[2])
    assert shown.count("table inet domain") == 1
    assert "masquerade" in shown


def test_a_thousand_rules_are_taken() -> None:
    rules = tuple(
        FirewallRule(Action.ACCEPT, ipaddress.ip_network(f"198.51.{n // 256}.{n % 256}")) for n in range(1000)
    )
    pieces = made(Firewall(rules))
    assert len(pieces) > 1
    # Nothing is decided by what is not whole.
    assert not [piece for piece in pieces[:-1] if "hook" in piece]
    assert in_kernel(*pieces).count("accept") > 1000


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("accept", ["ct mark set 0x00030001 counter name r0 accept"]),
        ("drop", ["counter name r0 goto refuse"]),
        (
            "drop 192.0.2.80 tcp 22",
            [
                "meta nfproto ipv4 ct original ip daddr { 192.0.2.80/32 } meta l4proto tcp ct original proto-dst 22 "
                "counter name r0 goto refuse"
            ],
        ),
        ("accept unknown.example tcp 1", []),
        ("accept expire=5", []),
        (
            "accept example.org udp",
            [
                "meta nfproto ipv4 ct original ip daddr { 198.51.100.80 } meta l4proto udp "
                "ct mark set 0x00030001 counter name r0 accept",
                "meta nfproto ipv6 ct original ip6 daddr { 2001:db8::80 } meta l4proto udp "
                "ct mark set 0x00030001 counter name r0 accept",
            ],
        ),
        (
            "drop 192.0.2.0/24 icmp icmptype=8",
            ["meta nfproto ipv4 ct original ip daddr { 192.0.2.0/24 } icmp type 8 counter name r0 goto refuse"],
        ),
    ],
)
def test_a_rule_becomes_these_lines(rule: str, lines: list[str]) -> None:
    assert rules_of(made(parse_firewall(rule, NOW), 3)) == lines


def test_an_error_about_a_connection_brings_none_to_life_that_rules_forbid() -> None:
    [piece] = made(parse_firewall("accept proto=icmp", NOW), 3)
    decide = piece.partition("  chain decide {\n")[2].partition("  }\n")[0].splitlines()
    assert [line.strip() for line in decide][:3] == [
        "ct state invalid drop",
        "ct mark and 0xffff0000 == 0x00030000 counter name ct mark map @counted accept",
        "ct state related drop",
    ]


def test_what_is_on_a_link_of_this_machine_is_of_the_home_network() -> None:
    for home in (False, True):
        [piece] = made(Firewall(home=home), 3)
        barriers = piece.partition("  chain barriers {\n")[2].partition("  }\n")[0]
        assert (str(LINK) in barriers) is not home
        assert "fe80::/10" in barriers


def test_domains_have_networks_of_their_own_and_the_same_one_each_time() -> None:
    assert guest_network("a") == guest_network("a") != guest_network("b")
    for name in map(str, range(300)):
        network = guest_network(name)
        assert network.guest != network.gateway
        assert network.guest in ipaddress.ip_network(f"{network.gateway}/24", strict=False)
        assert network.gateway6 in network.prefix6


def test_an_address_is_read_without_its_scope() -> None:
    assert parse_address("fe80::1%eth0") == ipaddress.ip_address("fe80::1")
    assert parse_address("eth0") is None
