"""Editing domain XML without losing anything."""

from pathlib import Path

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_xml import EMULATION_WORDS, DomainEdit
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.xml import parse

FOLDER = Path(__file__).parent / "documents"
FILES = sorted(FOLDER.glob("*.xml"))


def canonical(xml: str) -> str:
    return str(etree.canonicalize(xml, strip_text=True))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_an_edit_that_changes_nothing_changes_nothing(file: Path) -> None:
    xml = file.read_text()
    assert canonical(DomainEdit(xml).xml()) == canonical(xml)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_an_edit_changes_only_what_was_edited(file: Path) -> None:
    xml = file.read_text()
    edit = DomainEdit(xml)
    edit.set_initial_memory(777 * 1024)
    edit.set_maximum_memory(777 * 1024)
    edit.set_vcpus(3)
    edit.set_notes("a < b & c")
    config = parse_config(edit.xml())
    assert (config.maximum_memory_kib, config.vcpus, config.notes) == (777 * 1024, 3, "a < b & c")
    before, after = etree.fromstring(xml), etree.fromstring(edit.xml())
    for root in (before, after):
        for name in ("memory", "currentMemory", "vcpu", "description"):
            for element in root.findall(name):
                root.remove(element)
    assert canonical(etree.tostring(before, encoding="unicode")) == canonical(etree.tostring(after, encoding="unicode"))


def test_there_are_documents_to_try() -> None:
    assert len(FILES) >= 4


UNIQUE = """<domain type='qemu'><name>one</name><uuid>8f9d8d64-8d2b-4b59-8d94-0c8a6b1f4c11</uuid>
<memory unit='MiB'>16</memory><os><type arch='x86_64' machine='q35'>hvm</type><smbios mode='sysinfo'/></os>
<sysinfo type='smbios'><system><entry name='uuid'>8f9d8d64-8d2b-4b59-8d94-0c8a6b1f4c11</entry>
<entry name='serial'>kept</entry></system></sysinfo>
<devices>SCREEN
<interface type='bridge'><source bridge='br0'/><target dev='mine'/></interface>
<vsock model='virtio'><cid auto='no' address='77'/></vsock></devices></domain>"""


PORTS = "<graphics type='vnc' port='5907' autoport='no' websocket='5717' listen='127.0.0.1'/>"
SOCKET = "<graphics type='vnc'><listen type='socket' socket='/tmp/one.sock'/></graphics>"


@pytest.mark.parametrize(
    ("screen", "expected"),
    [
        (PORTS, {"type": "vnc", "port": "-1", "autoport": "yes", "listen": "127.0.0.1"}),
        (SOCKET, {"type": "vnc"}),
    ],
    ids=["ports", "socket"],
)
def test_a_copy_has_nothing_that_only_one_domain_can_have(
    daemon: PrivateDaemon, screen: str, expected: dict[str, str]
) -> None:
    connection = libvirt.open(daemon.uri)
    unique = UNIQUE.replace("SCREEN", screen)
    edit = DomainEdit(connection.defineXML(unique).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    other = "8f9d8d64-8d2b-4b59-8d94-0c8a6b1f4c12"
    edit.set_identity(other, "two", "")
    copy = etree.fromstring(connection.defineXML(edit.xml()).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    for name in ("one", "two"):
        connection.lookupByName(name).undefine()
    connection.close()
    assert {e.get("name"): e.text for e in copy.iterfind("sysinfo/system/entry")} == {"uuid": other, "serial": "kept"}
    assert [dict(found.items()) for found in copy.iterfind("devices/graphics")] == [expected]
    assert not copy.xpath("//graphics//@socket")
    assert [dict(cid.items()) for cid in copy.iterfind("devices/vsock/cid")] == [{"auto": "yes"}]
    assert copy.find("devices/interface/target") is None
    assert parse_config(etree.tostring(copy, encoding="unicode")).netvm == "bridge:br0"


@pytest.mark.parametrize("words", [EMULATION_WORDS, "mitigations=off nokaslr tsc=reliable no_timer_check"])
def test_what_helps_emulation_goes_with_it(words: str) -> None:
    edit = DomainEdit(f"<domain type='qemu'><os><cmdline>quiet {words} ro</cmdline></os></domain>")
    edit.set_virt_type("kvm")
    assert (edit.config.virt_type, edit.config.kernelopts) == ("kvm", "quiet ro")
    # What the user wrote is the user's.
    edit.set_kernelopts("mitigations=off  quiet")
    edit.set_virt_type("kvm")
    assert edit.config.kernelopts == "mitigations=off  quiet"


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [
        ("<vcpu>4</vcpu>", 2, {"": "2"}),
        ("<vcpu current='2'>4</vcpu>", 3, {"": "4", "current": "3"}),
        ("<vcpu current='2'>4</vcpu>", 4, {"": "4"}),
        ("<vcpu current='2'>4</vcpu>", 6, {"": "6"}),
        ("", 3, {"": "3"}),
    ],
)
def test_processors_that_may_be_added_later_stay(before: str, count: int, after: dict[str, str]) -> None:
    edit = DomainEdit(f"<domain><name>x</name>{before}</domain>")
    edit.set_vcpus(count)
    (vcpu,) = etree.fromstring(edit.xml()).iterfind("vcpu")
    assert {"": vcpu.text, **dict(vcpu.items())} == after
    assert edit.config.vcpus == count


OLD_DISK = """<domain type='qemu'><name>x</name><devices>
  <disk type='volume' device='disk'>
    <driver name='qemu' type='raw' cache='none'/>
    <source pool='p' volume='v' index='1' startupPolicy='optional'>
      <slices><slice type='storage' offset='1' size='2'/></slices>
      <encryption format='luks'><secret type='passphrase' uuid='0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f'/></encryption>
      <seclabel model='dac' relabel='no'/>
    </source>
    <backingStore type='file'><format type='qcow2'/><source file='/old/base'/><backingStore/></backingStore>
    <auth username='u'><secret type='ceph' usage='s'/></auth>
    <target dev='vda' bus='virtio'/>
    <transient shareBacking='yes'/>
    <serial>s</serial>
  </disk>
  <disk type='file' device='disk'><source file='/kept'/><backingStore/><target dev='vdb' bus='virtio'/></disk>
</devices></domain>"""


def test_what_hangs_on_a_disk_s_source_goes_with_it() -> None:
    edit = DomainEdit(OLD_DISK)
    edit.set_disk_source("vda", "/new", "qcow2")
    first, second = parse(edit.xml()).findall("devices/disk")
    assert first.get("type") == "file"
    assert [(child.tag, dict(child.attrib)) for child in first] == [
        ("driver", {"name": "qemu", "type": "qcow2", "cache": "none"}),
        ("source", {"file": "/new"}),
        ("target", {"dev": "vda", "bus": "virtio"}),
        ("transient", {"shareBacking": "yes"}),
        ("serial", {}),
    ]
    source = first.find("source")
    assert source is not None
    assert list(source) == []
    # Another disk keeps what it has, and one that said no format is told it.
    assert [child.tag for child in second] == ["source", "backingStore", "target"]
    edit.set_disk_source("vdb", "/kept", "raw")
    second = parse(edit.xml()).findall("devices/disk")[1]
    assert [(child.tag, child.get("type")) for child in second] == [
        ("driver", "raw"),
        ("source", None),
        ("target", None),
    ]
