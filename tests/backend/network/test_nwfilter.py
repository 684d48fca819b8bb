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
from qubes_manager.core.firewall.firewall import parse_firewall
from qubes_manager.core.firewall.rules import Action
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
RULES = filter_rules(parse_firewall(TEXT, time.time()), [ipaddress.ip_address("192.168.122.1")])


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt’s schemas are not installed")
def test_a_filter_is_one_by_libvirts_schema() -> None:
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    schema.assertValid(etree.fromstring(filter_xml(UUID, RULES, UUID)))


def test_rules_keep_their_order_and_what_none_matches_is_refused() -> None:
    root = etree.fromstring(filter_xml(UUID, RULES))
    out = sorted(
        (rule for rule in root.iterfind("rule") if rule.get("direction") == "out"),
        key=lambda r: int(r.get("priority", "")),
    )
    said = [(rule.get("action"), rule[0].tag, rule[0].get("dstipaddr")) for rule in out]
    web = said.index(("reject", "tcp", "192.0.2.0"))
    assert said.index(("accept", "udp", "192.168.122.1")) < said.index(("reject", "all", "10.0.0.0")) < web
    assert web < said.index(("accept", "udp-ipv6", "2001:db8::")) < said.index(("accept", "all", None))
    assert said[-2:] == [("reject", "all", None), ("reject", "all-ipv6", None)]


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
                await put_filter(connection, UUID, rules)
                kept = etree.fromstring(raw.nwfilterLookupByName(f"qubes-manager-{UUID}").XMLDesc())
                # Those for addresses and neighbours, and the last ones, are always there.
                assert len(kept.findall("rule")) == len(rules) + 8 + 4
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
