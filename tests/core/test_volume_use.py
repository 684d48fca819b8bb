"""Which volume a disk is."""

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.hardware import Disk
from qubes_manager.core.volume_use import are_known, image_name, system_source


def domain(name: str) -> Domain:
    return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig())


def test_a_throw_away_layer_belongs_to_the_volume_below_it() -> None:
    assert image_name("/pool/debian.root@1.qcow2.TRANSIENT-work") == "debian.root@1.qcow2"
    assert image_name("/pool/debian.root@1.qcow2") == "debian.root@1.qcow2"
    assert image_name("") == ""


def test_one_domain_that_was_not_read_leaves_all_unknown() -> None:
    unread = Domain(DomainKey("x", "1"), "unread", DomainState.HALTED)
    assert are_known([domain("debian"), domain("work")])
    assert not are_known([domain("debian"), unread])


def test_the_system_is_the_first_disk_that_is_one() -> None:
    drive = Disk("sda", kind="cdrom", source="/iso")
    config = DomainConfig(disks=(drive, Disk("vda", source="/pool/a.qcow2"), Disk("vdb", source="/pool/b.qcow2")))
    assert system_source(config) == "a.qcow2"
    assert system_source(DomainConfig(disks=(drive,))) == ""
