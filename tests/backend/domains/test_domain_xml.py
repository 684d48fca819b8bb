"""Reading and editing domain XML without losing anything."""

from pathlib import Path

import pytest
from lxml import etree

from qubes_manager.backend.domains.domain_xml import DomainEdit, parse_config
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role

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


def test_a_domain_of_which_nothing_else_is_said_starts_with_its_maximum() -> None:
    config = parse_config("<domain><memory unit='MiB'>512</memory></domain>")
    assert (config.initial_memory_kib, config.maximum_memory_kib) == (512 * 1024, 512 * 1024)


def test_a_rich_document_is_read_whole() -> None:
    config = parse_config((FOLDER / "rich.xml").read_text())
    assert config.label is LABELS["red"]
    assert config.klass is DomainClass.APP
    assert (config.template, config.default_dispvm) == ("debian-12", "disp")
    assert config.tags == {"money", "work"}
    assert config.features == (("menu", "a&b"),)
    assert config.volumes == (OwnVolume(Role.ROOT, "qubes-manager", "rich-root.qcow2"),)
    assert config.include_in_backups is False
    assert (config.maximum_memory_kib, config.vcpus, config.netvm) == (2 << 20, 4, "default")
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
