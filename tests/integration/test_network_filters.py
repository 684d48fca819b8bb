"""Firewalls of domains that have a network of libvirt's: on a real libvirtd of the system's kind, by the command.

No domain is started there: that takes a bridge with its packet filter, which not each machine's kernel has.
"""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.domain import DomainConfig, DomainKey
from qubes_manager.core.labels import LABELS
from tests.integration.conftest import COMMANDS, World
from tests.system_daemon import system_daemon

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="such a libvirtd is root’s")
UUID = "0a7b6c5d-0000-4000-8000-0123456789ab"
NAME = f"qubes-manager-{UUID}"
NETWORK = """
<network>
  <name>lan</name>
  <forward mode="nat"/>
  <bridge name="qmbr7"/>
  <ip address="192.168.177.1" netmask="255.255.255.0"/>
</network>
"""


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with system_daemon() as found:
        connection = libvirt.open(found)
        connection.networkDefineXML(NETWORK)
        yield found
        connection.close()


@pytest.fixture
def raw(uri: str) -> Iterator[libvirt.virConnect]:
    connection = libvirt.open(uri)
    yield connection
    for domain in connection.listAllDomains():
        domain.undefine()
    for name in connection.listNWFilters():
        connection.nwfilterLookupByName(name).undefine()
    connection.close()


@pytest.fixture
async def system(uri: str, raw: libvirt.virConnect) -> AsyncIterator[World]:
    """Services over that libvirtd, with a domain of ours, “work”, on its network."""
    world = World(uri, watch=False)
    await world.hosts.load(uri)
    config = DomainConfig(label=LABELS["green"])
    domain = NewDomain("work", config, UUID, virt_type="qemu", netvm="lan")
    await define(world.hosts.connection(uri), "work", domain.xml())
    await world.hosts.refresh(DomainKey(uri, UUID))
    yield world
    await world.hosts.close()


def filters(raw: libvirt.virConnect) -> dict[str, "etree._Element"]:
    return {name: etree.fromstring(raw.nwfilterLookupByName(name).XMLDesc()) for name in raw.listNWFilters()}


def filter_of(raw: libvirt.virConnect, name: str) -> str:
    root = etree.fromstring(raw.lookupByName(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    return str(root.xpath("string(//interface/filterref/@filter)"))


def firewall(uri: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [COMMANDS / "qvm-firewall", "--connect", uri, *words], capture_output=True, text=True, timeout=120, check=False
    )


async def test_rules_become_a_filter_and_what_it_cannot_say_is_not_kept(
    system: World, uri: str, raw: libvirt.virConnect
) -> None:
    for words, why in (
        (("accept", "example.org"), "is a name, and libvirt’s network filters look none up"),
        (("accept", "expire=+60"), "leave expire out"),
    ):
        done = firewall(uri, "work", "add", *words)
        assert done.returncode == 1
        assert "rule 1" in done.stderr
        assert why in done.stderr
    assert firewall(uri, "--raw", "work").stdout == "action=accept\n"
    assert filters(raw) == {}
    for rule in (("drop", "192.0.2.1"), ("accept", "specialtarget=dns")):
        done = firewall(uri, "work", "add", "--before", "0", *rule)
        assert (done.returncode, done.stderr) == (0, "")
    [kept] = filters(raw).values()
    assert kept.get("name") == filter_of(raw, "work") == NAME
    # What the network's own DNS answers is let through, and nothing else of this machine.
    ours = [rule for rule in kept.iterfind("rule") if len(rule) and int(rule.get("priority", "")) > -1000]
    own = [rule for rule in ours if rule[0].get("dstipaddr") == "192.168.177.1"]
    assert [(rule.get("action"), rule[0].tag, rule[0].get("dstportstart")) for rule in own] == [
        ("accept", "udp", "53"),
        ("accept", "tcp", "53"),
        ("reject", "all", None),
    ]


async def test_a_copy_has_a_filter_of_its_own_and_what_is_removed_leaves_none(
    system: World, uri: str, raw: libvirt.virConnect
) -> None:
    assert firewall(uri, "work", "add", "--before", "0", "drop", "192.0.2.1").returncode == 0
    key = DomainKey(uri, UUID)
    await system.hosts.refresh(key)
    copy = await system.cloning.clone(key, "copy")
    own = f"qubes-manager-{copy.uuid}"
    assert filter_of(raw, "copy") == own
    # It is there when it is needed, which is before the start.
    await system.firewalls.prepare(system.store.require(copy))
    assert filters(raw).keys() == {NAME, own}
    assert len(filters(raw)[own]) == len(filters(raw)[NAME])
    for gone in (copy, key):
        await system.hosts.refresh(gone)
        await system.removal.remove(gone)
    assert filters(raw) == {}


async def test_a_filter_of_somebody_elses_stays(system: World, uri: str, raw: libvirt.virConnect) -> None:
    raw.nwfilterDefineXML("<filter name='theirs' chain='root'/>")
    xml = raw.lookupByName("work").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    raw.defineXML(xml.replace("</interface>", "<filterref filter='theirs'/></interface>"))
    done = firewall(uri, "work", "add", "--before", "0", "drop")
    assert done.returncode == 1
    assert "it has the network filter “theirs” already" in done.stderr
    assert filter_of(raw, "work") == "theirs"
    assert set(raw.listNWFilters()) == {"theirs"}
    assert firewall(uri, "--raw", "work").stdout == "action=accept\n"


async def test_a_network_that_is_given_back_has_the_filter_again(
    system: World, uri: str, raw: libvirt.virConnect
) -> None:
    assert firewall(uri, "work", "add", "--before", "0", "drop", "192.0.2.1").returncode == 0
    key = DomainKey(uri, UUID)
    await system.hosts.refresh(key)
    await system.properties.set_netvm(key, "")
    await system.properties.set_netvm(key, "lan")
    assert filter_of(raw, "work") == NAME
    # Taken away by another program, and a card that has come: each has it at the next start.
    xml = raw.lookupByName("work").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    bare = xml.replace(f"<filterref filter='{NAME}'/>", "")
    assert bare != xml
    raw.defineXML(
        bare.replace("</interface>", "</interface><interface type='bridge'><source bridge='br0'/></interface>", 1)
    )
    await system.hosts.refresh(key)
    await system.firewalls.prepare(system.store.require(key))
    root = etree.fromstring(raw.lookupByName("work").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    assert root.xpath("//interface/filterref/@filter") == [NAME, NAME]


async def test_who_gives_network_there_is_told_that_it_cannot(system: World, uri: str) -> None:
    done = subprocess.run(
        [COMMANDS / "qvm-prefs", "--connect", uri, "work", "provides_network", "True"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "has no network of its own to give (netvm is lan)" in done.stderr
