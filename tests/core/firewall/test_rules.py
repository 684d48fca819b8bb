"""Rules of a firewall in Qubes' words."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.rules import Action, FirewallRule, Ports, Protocol, parse_line, parse_rule

NOW = 1_800_000_000.5
NET4, NET6 = ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("accept", FirewallRule(Action.ACCEPT)),
        ("action=drop", FirewallRule(Action.DROP)),
        ("accept 192.0.2.0/24 tcp 80", FirewallRule(Action.ACCEPT, NET4, Protocol.TCP, Ports(80, 80))),
        ("accept dst4=192.0.2.7/24", FirewallRule(Action.ACCEPT, NET4)),
        ("accept dst6=2001:db8::1/32 tcp", FirewallRule(Action.ACCEPT, NET6, Protocol.TCP)),
        ("drop dsthost=2001:db8::/32", FirewallRule(Action.DROP, NET6)),
        ("accept dsthost=Example.ORG. proto=UDP dstports=1-9", FirewallRule(
            Action.ACCEPT, "example.org", Protocol.UDP, Ports(1, 9)
        )),
        ("accept proto=icmp icmptype=8", FirewallRule(Action.ACCEPT, proto=Protocol.ICMP, icmp_type=8)),
        ("accept specialtarget=dns", FirewallRule(Action.ACCEPT, dns=True)),
        ("accept expire=1900000000", FirewallRule(Action.ACCEPT, expire=1_900_000_000)),
        ("accept expire=+300 comment=for now, [5] minutes", FirewallRule(
            Action.ACCEPT, expire=1_800_000_300, comment="for now, [5] minutes"
        )),
        ("accept comment=proto=icmp is not meant".replace("=icmp", " icmp"), FirewallRule(
            Action.ACCEPT, comment="proto icmp is not meant"
        )),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_line_is_read_and_what_is_read_can_be_given_back(line: str, rule: FirewallRule) -> None:
    assert parse_line(line, NOW) == rule
    assert parse_line(str(rule), NOW) == rule


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("", "action"),
        ("perhaps", "action"),
        ("dsthost=192.0.2.1", "action"),
        ("accept accept=yes", "rule"),
        ("accept action=drop", "action"),
        ("accept dst4=2001:db8::1", "dst4"),
        ("accept dst6=example.org", "dst6"),
        ("accept dsthost=192.0.2.1 dst4=192.0.2.1", "dst4"),
        ("accept dsthost=a_b.example", "dsthost"),
        ("accept dsthost=300.1.1.1", "dsthost"),
        ("accept dsthost=192.0.2.0/33", "dsthost"),
        ("accept dsthost=-a.example", "dsthost"),
        (f"accept dsthost={'a.' * 127}a", "dsthost"),
        ("accept dstports=80", "dstports"),
        ("accept proto=icmp dstports=80", "dstports"),
        ("accept proto=tcp dstports=90-80", "dstports"),
        ("accept proto=tcp dstports=65536", "dstports"),
        ("accept proto=tcp dstports=٣", "dstports"),
        ("accept proto=tcp icmptype=8", "icmptype"),
        ("accept proto=icmp icmptype=256", "icmptype"),
        ("accept proto=sctp", "proto"),
        ("accept specialtarget=ntp", "specialtarget"),
        ("accept dsthost=192.0.2.1 specialtarget=dns", "specialtarget"),
        ("accept specialtarget=dns proto=icmp", "specialtarget"),
        ("accept expire=soon", "expire"),
        ("accept expire=+0", "expire"),
        ("accept comment=<b>", "comment"),
        ("accept example.org tcp 80 8 more", "rule"),
    ],
)
def test_what_is_wrong_is_said_by_its_key(line: str, field: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse_line(line, NOW)
    assert raised.value.field == field


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_words_are_a_rule_or_bad_input(words: list[str]) -> None:
    try:
        rule = parse_rule(words, NOW)
    except BadInput:
        return
    assert parse_line(str(rule), NOW) == rule


HOSTS = st.one_of(
    st.none(),
    st.sampled_from(["example.org", "a-b.example", "localhost"]),
    st.ip_addresses(v=4).map(ipaddress.ip_network),
    st.ip_addresses(v=6).map(ipaddress.ip_network),
)


@given(
    st.sampled_from(Action),
    HOSTS,
    st.sampled_from([None, *Protocol]),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    st.none() | st.integers(0, 1 << 32),
    st.text("abc XYZ09:;,./-_[]", max_size=40).map(str.strip),
)
def test_every_rule_can_be_given_back(
    action: Action,
    host: object,
    proto: Protocol | None,
    ends: tuple[int, int],
    expire: int | None,
    comment: str,
) -> None:
    ports = Ports(min(ends), max(ends)) if proto in (Protocol.TCP, Protocol.UDP) else None
    icmp_type = ends[0] % 256 if proto is Protocol.ICMP else None
    rule = FirewallRule(action, host, proto, ports, icmp_type, False, expire, comment)  # type: ignore[arg-type]
    assert parse_line(str(rule), NOW) == rule
