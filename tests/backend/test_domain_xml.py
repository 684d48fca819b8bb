"""Reading and editing domain XML without losing anything."""

from pathlib import Path

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from qubes_manager.backend.domains.domain_xml import DomainEdit, parse_config
from qubes_manager.backend.domains.metadata import NAMESPACE, MetadataEdit, for_new_domain
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainClass, DomainConfig
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role

FOLDER = Path(__file__).parent / "domains"
FILES = sorted(FOLDER.glob("*.xml"))


def canonical(xml: str) -> str:
    return etree.canonicalize(xml, strip_text=True)


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
    assert (config.memory, config.vcpus, config.notes) == (777 * 1024, 3, "a < b & c")
    before, after = etree.fromstring(xml), etree.fromstring(edit.xml())
    for root in (before, after):
        for name in ("memory", "currentMemory", "vcpu", "description"):
            for element in root.findall(name):
                root.remove(element)
    assert canonical(etree.tostring(before, encoding="unicode")) == canonical(etree.tostring(after, encoding="unicode"))


def test_there_are_documents_to_try() -> None:
    assert len(FILES) >= 4


def test_a_rich_document_is_read_whole() -> None:
    config = parse_config((FOLDER / "rich.xml").read_text())
    assert config.label is LABELS["red"]
    assert config.klass is DomainClass.APP
    assert (config.template, config.default_dispvm) == ("debian-12", "disp")
    assert config.tags == {"money", "work"}
    assert config.features == (("menu", "a&b"),)
    assert config.volumes == (OwnVolume(Role.ROOT, "qubes-manager", "rich-root.qcow2"),)
    assert config.include_in_backups is False
    assert (config.memory, config.vcpus, config.netvm) == (2 << 20, 4, "default")
    assert [(d.target, d.bus, d.kind, d.read_only) for d in config.disks] == [
        ("vda", "virtio", "disk", False),
        ("sda", "sata", "cdrom", True),
    ]
    assert config.console_log == "/var/log/rich.log"
    assert config.emulated is False


def test_a_foreign_domain_is_a_standalone_without_label() -> None:
    config = parse_config("<domain type='qemu'><name>x</name></domain>")
    assert (config.klass, config.label, config.emulated, config.netvm) == (DomainClass.STANDALONE, None, True, "")


def test_entities_are_not_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    xml = f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{secret}">]><domain><description>&x;</description></domain>'
    assert "hidden" not in parse_config(xml).notes


words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)


@given(
    st.frozensets(words.map(str.strip), max_size=5),
    st.dictionaries(words, words, max_size=5),
    st.sampled_from([None, *LABELS]),
)
def test_metadata_survives_the_way_through_a_document(tags, features, label) -> None:
    config = DomainConfig(
        label=LABELS[label] if label else None,
        klass=DomainClass.APP,
        tags=tags,
        features=tuple(sorted(features.items())),
        volumes=(OwnVolume(Role.ROOT, "p", "n"),),
    )
    document = etree.Element("domain")
    etree.SubElement(document, "metadata").append(for_new_domain(config))
    read = parse_config(etree.tostring(document, encoding="unicode"))
    assert (read.label, read.klass, read.tags, read.volumes) == (config.label, config.klass, tags, config.volumes)
    assert dict(read.features) == features


@given(st.frozensets(words.map(str.strip), max_size=4))
def test_an_edit_of_metadata_keeps_what_it_does_not_know(tags) -> None:
    edit = MetadataEdit.of_text("<domain><label>red</label><future a='1'>kept</future><tag>old</tag></domain>")
    edit.set_tags(tags)
    edit.set_text("label", "blue")
    root = etree.fromstring(edit.xml())
    assert root.findtext("future") == "kept"
    assert root.find("future").get("a") == "1"
    assert root.findtext("label") == "blue"
    assert {e.text for e in root.findall("tag")} == tags


def test_libvirt_takes_our_new_domains_and_gives_them_back() -> None:
    new = NewDomain(
        name="made",
        config=DomainConfig(label=LABELS["green"], notes="a & b", tags=frozenset({"x"})),
        virt_type="test",
        disks=(DiskSpec("/tmp/root.qcow2", boot_order=1), DiskSpec("", "raw", cdrom=True)),
        netvm="default",
        graphics=False,
    )
    connection = libvirt.open("test:///default")
    # The test driver has no q35 machine and only 32-bit x86.
    xml = new.xml().replace(' machine="q35"', "").replace("x86_64", "i686")
    domain = connection.defineXML(xml)
    try:
        config = parse_config(domain.XMLDesc())
        assert (config.label, config.notes, config.tags) == (LABELS["green"], "a & b", {"x"})
        assert NAMESPACE in domain.XMLDesc()
        edit = MetadataEdit.of_text(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
        edit.set_tags({"y"})
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, edit.xml(), "qm", NAMESPACE, 2)
        changed = parse_config(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        assert (changed.label, changed.tags) == (LABELS["green"], {"y"})
    finally:
        domain.undefine()
        connection.close()
