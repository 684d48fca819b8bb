"""What is read of a domain's XML."""

from pathlib import Path

import pytest

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.core.domain import DomainClass
from qubes_manager.core.hardware import Layer
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role
from tests.backend.domains.test_domain_xml import FOLDER, OLD_DISK


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
    assert (config.maximum_memory_kib, config.vcpus, config.netvm) == (2 << 20, 2, "default")
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


@pytest.mark.parametrize(
    ("disk", "source"),
    [
        (
            "<disk type='nvme'><source type='pci' managed='yes' namespace='1'>"
            "<address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source><target dev='vda'/></disk>",
            "nvme 0000:01:00.0 namespace 1",
        ),
        ("<disk type='vhostuser'><source type='unix' path='/tmp/s'/><target dev='vda'/></disk>", "/tmp/s"),
        ("<disk type='network'><source protocol='rbd' name='pool/image'/><target dev='vda'/></disk>", "pool/image"),
        ("<disk type='network'><source protocol='vxhs'/><target dev='vda'/></disk>", "network"),
        ("<disk type='file' device='cdrom'><target dev='sda'/></disk>", ""),
        ("<disk type='file' device='cdrom'><source startupPolicy='optional'/><target dev='sda'/></disk>", ""),
    ],
)
def test_only_a_drive_without_a_disc_is_empty(disk: str, source: str) -> None:
    (found,) = parse_config(f"<domain><devices>{disk}</devices></domain>").disks
    assert found.source == source


def test_a_disk_s_chain_is_read_with_the_copy_that_a_job_makes() -> None:
    mirror = "<mirror type='file' job='copy'><source file='/copy'/></mirror>"
    text = OLD_DISK.replace("<target dev='vda'", f"{mirror}<target dev='vda'")
    first, second = parse_config(text).disks
    assert first.layers == (Layer("v", "p", "raw"), Layer("/old/base", "", "qcow2"), Layer("/copy"))
    assert first.backing_ends
    assert (second.layers, second.backing_ends) == ((Layer("/kept"),), True)
    assert not parse_config(OLD_DISK.replace("<backingStore/></backingStore>", "</backingStore>")).disks[0].backing_ends
