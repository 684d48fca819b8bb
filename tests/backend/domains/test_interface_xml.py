"""What an interface connects to, and what stays of it: libvirt itself says what is valid."""

from collections.abc import Iterator

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.host.private_daemon import PrivateDaemon

UUID = "5a3c1b1e-6a0e-4d6b-9d58-9c2a9b7b2f10"
MAC = "<mac address='52:54:00:00:00:01'/>"
SOURCES = {
    "network": "<source network='default' portgroup='a'/>",
    "bridge": "<source bridge='br0'/>",
    "direct": "<source dev='eth0' mode='passthrough'/>",
    "user": "",
    "ethernet": "",
    "null": "",
    "internal": "<source name='i'/>",
    "vdpa": "<source dev='/dev/vhost-vdpa-0'/>",
    "vhostuser": "<source type='unix' path='/tmp/x.sock' mode='client'/>",
    "server": "<source address='127.0.0.1' port='5558'/>",
    "client": "<source address='127.0.0.1' port='5558'/>",
    "mcast": "<source address='230.0.0.1' port='5558'/>",
    "udp": "<source address='127.0.0.1' port='5558'><local address='127.0.0.1' port='5559'/></source>",
    "hostdev": "<source><address type='pci' domain='0' bus='1' slot='0' function='0'/></source>",
}
WORDS = {
    "network": "default",
    "bridge": "bridge:br0",
    "direct": "direct:eth0",
    "user": "open",
    "ethernet": "ethernet",
    "null": "null",
    "internal": "internal:i",
    "vdpa": "vdpa:/dev/vhost-vdpa-0",
    "vhostuser": "vhostuser:/tmp/x.sock",
    "server": "server:127.0.0.1:5558",
    "client": "client:127.0.0.1:5558",
    "mcast": "mcast:230.0.0.1:5558",
    "udp": "udp:127.0.0.1:5558",
    "hostdev": "hostdev:0000:01:00.0",
}
TARGETS = ("other", "bridge:br1", "direct:eth1", "open", "ethernet", "null", "internal:j", "vdpa:/dev/vhost-vdpa-1")
# What may hang on an interface; everything of it stays that libvirt takes from the new kind.
PARTS = {
    "mtu": "<mtu size='1400'/>",
    "link": "<link state='down'/>",
    "boot": "<boot order='1'/>",
    "filterref": "<filterref filter='clean-traffic'/>",
    "bandwidth": "<bandwidth><inbound average='1000'/></bandwidth>",
    "virtualport": "<virtualport type='openvswitch'/>",
    "target": "<target dev='tap7'/>",
    "driver": "<driver queues='2'/>",
    "port": "<port isolated='yes'/>",
    "coalesce": "<coalesce><rx><frames max='7'/></rx></coalesce>",
    "tune": "<tune><sndbuf>1600</sndbuf></tune>",
    "rom": "<rom bar='off'/>",
    "alias": "<alias name='ua-card'/>",
    "ip": "<ip address='10.0.0.5' prefix='24'/>",
    "backend": "<backend vhost='/dev/vhost-net'/>",
    "acpi": "<acpi index='1'/>",
}
# The guest's own address goes with its network.
GOES = {"ip"}


def document(kind: str, parts: str = "", model: str = "e1000e") -> str:
    # Without memory that is shared, newer libvirt takes no vhostuser.
    return f"""<domain type='qemu'><name>cards</name><uuid>{UUID}</uuid><memory unit='MiB'>16</memory>
<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
<interface type='{kind}'>{MAC}{SOURCES.get(kind, "")}<model type='{model}'/>{parts}</interface></devices></domain>"""


@pytest.fixture(scope="module")
def host(daemon: PrivateDaemon) -> Iterator[libvirt.virConnect]:
    connection = libvirt.open(daemon.uri)
    yield connection
    connection.close()


def stored(host: libvirt.virConnect, xml: str) -> str:
    """What libvirt makes of a document; raises libvirtError."""
    domain = host.defineXML(xml)
    try:
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    finally:
        domain.undefine()


def card(xml: str) -> etree._Element:
    (found,) = etree.fromstring(xml).iterfind("devices/interface")
    return found


@pytest.fixture(scope="module")
def valid(host: libvirt.virConnect) -> dict[str, set[str]]:
    """Which parts libvirt takes from an interface of each kind."""

    def takes(kind: str, name: str) -> bool:
        try:
            return card(stored(host, document(kind, PARTS[name], "virtio"))).find(name) is not None
        except libvirt.libvirtError:
            return False

    return {kind: {name for name in PARTS if takes(kind, name)} for kind in SOURCES}


@pytest.mark.parametrize("kind", SOURCES)
def test_each_kind_is_told_by_a_word_of_its_own(host: libvirt.virConnect, kind: str) -> None:
    assert parse_config(stored(host, document(kind, model="virtio"))).netvm == WORDS[kind]


# Open vSwitch has no isolated ports.
@pytest.mark.parametrize("without", ["port", "virtualport"])
@pytest.mark.parametrize("before", SOURCES)
def test_what_the_new_kind_can_have_stays_and_libvirt_takes_the_result(
    host: libvirt.virConnect, valid: dict[str, set[str]], before: str, without: str
) -> None:
    names = valid[before] - {without}
    xml = stored(host, document(before, "".join(PARTS[name] for name in sorted(names)), "virtio"))
    for word in TARGETS:
        edit = DomainEdit(xml)
        edit.set_netvm(word)
        after = stored(host, edit.xml())
        config, element = parse_config(after), card(after)
        assert config.netvm == word
        assert (config.interfaces[0].mac, config.interfaces[0].model) == ("52:54:00:00:00:01", "virtio")
        kind = element.get("type", "")
        goes = GOES if kind != before else set()
        wanted = names & valid[kind] - goes
        assert {name for name in names if element.find(name) is not None} == wanted, word


def test_another_network_leaves_all_else_as_it_is(host: libvirt.virConnect) -> None:
    xml = stored(host, document("network", "<mtu size='1400'/><link state='down'/><boot order='1'/>"))
    edit = DomainEdit(xml)
    edit.set_netvm("other")
    expected = xml.replace("network='default'", "network='other'")
    assert etree.canonicalize(stored(host, edit.xml())) == etree.canonicalize(expected)


def test_only_the_first_of_several_changes_and_none_takes_all_away() -> None:
    two = document("bridge").replace("</devices>", f"<interface type='user'>{MAC}</interface></devices>")
    edit = DomainEdit(two)
    edit.set_netvm("bridge:br1")
    assert [i.netvm for i in edit.config.interfaces] == ["bridge:br1", "open"]
    edit.set_netvm("")
    assert edit.config.interfaces == ()
    edit.set_netvm("direct:eth0")
    source = card(edit.xml()).find("source")
    assert source is not None
    assert dict(source.items()) == {"dev": "eth0", "mode": "bridge"}
