"""Network filters as libvirt has them: its own schema, and a real libvirtd."""

import ipaddress
import os
import time
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.network.nwfilter import drop_filter, filter_xml, put_filter
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.firewall.filter_rules import FilterRule, filter_rules
from qubes_manager.core.firewall.firewall import Firewall, parse_firewall
from qubes_manager.core.firewall.rules import Action, Address
from tests.system_daemon import system_daemon

UUID = "0a7b6c5d-0000-4000-8000-0123456789ab"
SCHEMA = Path("/usr/share/libvirt/schemas/nwfilter.rng")
TEXT = """
accept specialtarget=dns
drop 192.0.2.0/24 tcp 80-90
accept dst6=2001:db8::/32 udp 53
accept proto=icmp icmptype=8
accept
"""
SERVERS: list[Address] = [ipaddress.ip_address("192.168.122.1"), ipaddress.ip_address("fd00:122::1")]
RULES = filter_rules(parse_firewall(TEXT, time.time()), SERVERS)


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt’s schemas are not installed")
def test_a_filter_is_one_by_libvirts_schema() -> None:
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    schema.assertValid(etree.fromstring(filter_xml(UUID, RULES, SERVERS, UUID)))


def test_rules_keep_their_order_and_what_none_matches_is_refused() -> None:
    root = etree.fromstring(filter_xml(UUID, RULES))
    rules = [rule for rule in root.iterfind("rule") if len(rule) and rule.get("direction") == "out"]
    out = sorted((r for r in rules if int(r.get("priority", "")) > -1000), key=lambda r: int(r.get("priority", "")))
    said = [(rule.get("action"), rule[0].tag, rule[0].get("dstipaddr")) for rule in out]
    web = said.index(("reject", "tcp", "192.0.2.0"))
    assert said.index(("accept", "udp", "192.168.122.1")) < said.index(("reject", "all", "10.0.0.0")) < web
    assert web < said.index(("accept", "udp-ipv6", "2001:db8::")) < said.index(("accept", "all", None))
    assert said[-2:] == [("reject", "all", None), ("reject", "all-ipv6", None)]


@pytest.mark.parametrize("servers", [[], SERVERS])
def test_what_is_let_through_before_the_rules_leads_nowhere_far(servers: list[Address]) -> None:
    root = etree.fromstring(filter_xml(UUID, filter_rules(Firewall(()), []), servers))
    let = [rule for rule in root.iterfind("rule") if rule.get("action") == "accept" and rule[0].tag != "mac"]
    near = [*map(str, servers), "255.255.255.255", "ff02::1:2", "ff02::2", "ff02::", "fe80::"]
    assert let
    for rule in let:
        # An answer comes of what was sent, and an error belongs to a connection.
        assert rule.get("direction") == "in" or rule[0].get("dstipaddr") in near, etree.tostring(rule)
    # libvirt makes nothing of a rule with an ICMP type for both directions.
    assert all(rule.get("direction") != "inout" for rule in let)


def test_what_is_no_plain_ip_is_let_through_nowhere() -> None:
    root = etree.fromstring(filter_xml(UUID, RULES))
    plain = [rule[0].get("protocolid") for rule in root.iterfind("rule[mac]") if rule.get("action") == "accept"]
    assert plain == ["arp", "ipv4", "ipv6"]
    [last] = [rule for rule in root.iterfind("rule") if not len(rule)]
    assert (last.get("action"), last.get("direction"), last.get("priority")) == ("drop", "inout", "1000")


def test_more_rules_than_libvirt_can_put_in_order_are_refused() -> None:
    with pytest.raises(Refused, match="1899 rules at most, and these come to 2000"):
        filter_xml(UUID, [FilterRule(Action.DROP, 4)] * 2000)


@pytest.mark.skipif(os.geteuid() != 0, reason="such a libvirtd is root’s")
async def test_a_real_libvirt_keeps_it_changes_it_and_forgets_it() -> None:
    with system_daemon() as uri:
        connection = LibvirtConnection(uri, watch=False)
        await connection.open()
        raw = libvirt.open(uri)
        try:
            for rules in (RULES, RULES[:3]):
                await put_filter(connection, UUID, rules, SERVERS)
                kept = etree.fromstring(raw.nwfilterLookupByName(f"qubes-manager-{UUID}").XMLDesc())
                assert len(kept) - 1 == len(etree.fromstring(filter_xml(UUID, rules, SERVERS)))
            await drop_filter(connection, UUID)
            assert raw.listNWFilters() == []
            await drop_filter(connection, UUID)
        finally:
            raw.close()
            await connection.close()


async def test_a_users_own_libvirt_has_no_filters(daemon: PrivateDaemon) -> None:
    connection = LibvirtConnection(daemon.uri, watch=False)
    await connection.open()
    try:
        with pytest.raises(HostCallFailed, match="session mode"):
            await put_filter(connection, UUID, RULES)
    finally:
        await connection.close()
