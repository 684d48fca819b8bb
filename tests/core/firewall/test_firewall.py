"""What a domain's firewall decides."""

import ipaddress
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.firewall import (
    HOME_NETWORKS,
    MAX_RULES,
    NEVER,
    Barrier,
    Decision,
    Firewall,
    Kind,
    Packet,
    parse_firewall,
)
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Protocol, parse_line

NOW = 1_800_000_000.0
DNS = ipaddress.ip_address("169.254.1.53")
NAMES: dict[str, Collection[Address]] = {"example.org": [ipaddress.ip_address("192.0.2.80")]}


def packet(to: str, proto: str = "tcp", port: int = 443) -> Packet:
    return Packet(ipaddress.ip_address(to), Protocol(proto), port)


def decide(firewall: Firewall, sent: Packet) -> Decision:
    return firewall.decide(sent, NOW, lambda name: NAMES.get(name, ()), [DNS])


FIREWALL = parse_firewall(
    """
    accept specialtarget=dns
    drop 192.0.2.80 tcp 22
    accept example.org tcp 1-1024
    accept unknown.example
    accept 198.51.100.0/24 expire=1799999999
    accept proto=icmp icmptype=8
    accept 2001:db8::/32 udp
    """,
    NOW,
)
A, D = Action.ACCEPT, Action.DROP


@pytest.mark.parametrize(
    ("sent", "decision"),
    [
        (packet(str(DNS), "udp", 53), Decision(A, 0)),
        (packet(str(DNS), "tcp", 53), Decision(A, 0)),
        (packet(str(DNS), "tcp", 80), Decision(D)),
        (packet("192.0.2.80", "tcp", 22), Decision(D, 1)),
        (packet("192.0.2.80", "tcp", 443), Decision(A, 2)),
        (packet("192.0.2.80", "tcp", 8080), Decision(D)),
        (packet("198.51.100.1"), Decision(D)),
        (packet("203.0.113.1", "icmp"), Decision(A, 5)),
        (packet("2001:db8::5", "udp"), Decision(A, 6)),
        (packet("2001:db8::5", "tcp"), Decision(D)),
    ],
)
def test_the_first_rule_that_matches_decides_and_the_end_is_a_refusal(sent: Packet, decision: Decision) -> None:
    assert decide(FIREWALL, sent) == decision


def test_a_name_that_is_not_known_concerns_its_own_rule_only() -> None:
    assert decide(FIREWALL, packet("203.0.113.1", "icmp")).action is Action.ACCEPT


PORTS = st.integers(0, 65535)


@given(st.sampled_from(HOME_NETWORKS), st.integers(min_value=0), st.sampled_from(Protocol), PORTS)
def test_without_the_home_network_nothing_of_it_is_reached_whatever_rules_say(
    network: ipaddress.IPv4Network, place: int, proto: Protocol, port: int
) -> None:
    to = network[place % network.num_addresses]
    for firewall in (Firewall(), parse_firewall(f"accept {network}", NOW)):
        assert decide(firewall, Packet(to, proto, port)).action is Action.DROP
    is_never = any(to in never for never in NEVER)
    assert decide(Firewall(home=True), Packet(to, proto, port)).action is (Action.DROP if is_never else Action.ACCEPT)


@given(st.sampled_from(NEVER), st.integers(min_value=0), st.sampled_from(Protocol), PORTS)
def test_no_rule_leads_to_this_machine_or_to_what_is_beside_it(
    network: ipaddress.IPv4Network, place: int, proto: Protocol, port: int
) -> None:
    sent = Packet(network[place % network.num_addresses], proto, port)
    is_dns = sent.to == DNS
    expected = Decision(A, 0) if is_dns else Decision(D, barrier=Barrier.NEVER)
    assert decide(Firewall(home=True), sent) == expected


@pytest.mark.parametrize("to", ["192.0.2.1", "9.9.9.9", "172.32.0.1", "2001:db8::1"])
def test_without_the_home_network_the_rest_is_reached(to: str) -> None:
    assert decide(Firewall(), packet(to)) == Decision(A, 0)


def test_what_it_comes_to_is_known_whatever_its_comments_say() -> None:
    assert parse_firewall("accept comment=as it was", NOW, home=True).kind is Kind.EVERYTHING
    assert Firewall().kind is Kind.NO_HOME_NETWORK
    assert FIREWALL.kind is Kind.ONLY_THESE
    assert Firewall(()).kind is Kind.ONLY_THESE


def test_rules_come_before_others_or_last_and_go_by_number() -> None:
    first, second, third = (parse_line(f"drop 192.0.2.{n}", NOW) for n in range(3))
    firewall = Firewall((first,)).insert(third).insert(second, before=1)
    assert firewall.rules == (first, second, third)
    assert firewall.remove(1).rules == (first, third)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_rule_that_is_not_there_is_said_with_what_is(number: int) -> None:
    firewall = parse_firewall("accept\ndrop", NOW)
    for change in (firewall.remove, lambda at: firewall.insert(FirewallRule(Action.DROP), at)):
        with pytest.raises(BadInput, match="0 to 1"):
            change(number)


def test_a_wrong_line_is_named_and_too_many_are_refused() -> None:
    with pytest.raises(BadInput, match="rule 1, proto"):
        parse_firewall("accept\n\naccept proto=sctp", NOW)
    with pytest.raises(BadInput, match="1000 at most"):
        parse_firewall("drop\n" * (MAX_RULES + 1), NOW)
    with pytest.raises(BadInput, match="1000"):
        Firewall((FirewallRule(Action.DROP),) * MAX_RULES).insert(FirewallRule(Action.DROP))


def test_rules_too_long_to_start_a_domain_with_are_refused() -> None:
    name = ".".join(["a" * 60] * 4)
    with pytest.raises(BadInput, match="100000 bytes at most"):
        parse_firewall(f"accept {name}\n" * 500, NOW)
    firewall = parse_firewall(f"accept {name} comment={'c' * 255}\n" * 300, NOW)
    with pytest.raises(BadInput, match="100000 bytes at most"):
        for _ in range(200):
            firewall = firewall.insert(firewall.rules[0])


def test_what_has_expired_goes() -> None:
    assert len(FIREWALL.without_expired(NOW).rules) == len(FIREWALL.rules) - 1
    assert FIREWALL.names == {"example.org", "unknown.example"}
