"""Which volume is needed by whom."""

from qubes_manager.core.domain import Disk, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.volume_use import (
    are_known,
    image_name,
    images_in_use,
    may_carry_others,
    needed_by_others,
    system_source,
)
from qubes_manager.core.volumes import OwnVolume, Role

ROOT = OwnVolume(Role.ROOT, "pool", "debian.root@1.qcow2", 1)
NEWER = OwnVolume(Role.ROOT, "pool", "debian.root@2.qcow2", 2, backing=ROOT.name)
PRIVATE = OwnVolume(Role.PRIVATE, "pool", "work.private.qcow2")


def domain(name: str, *volumes: OwnVolume, disks: tuple[Disk, ...] = ()) -> Domain:
    return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig(volumes=volumes, disks=disks))


TEMPLATE = domain("debian", ROOT, NEWER)


def test_a_throw_away_layer_belongs_to_the_volume_below_it() -> None:
    assert image_name("/pool/debian.root@1.qcow2.TRANSIENT-work") == ROOT.name
    assert image_name("/pool/debian.root@1.qcow2") == ROOT.name
    assert image_name("") == ""


def test_what_others_stand_on_record_or_use_is_needed() -> None:
    clone = domain("copy", OwnVolume(Role.ROOT, "pool", "copy.root@1.qcow2", 1, backing=NEWER.name))
    user = domain("work", disks=(Disk("vda", source=f"/pool/{ROOT.name}.TRANSIENT-work"),))
    heir = domain("heir", OwnVolume(Role.BASE, "pool", ROOT.name))
    assert needed_by_others(TEMPLATE, [TEMPLATE, clone]) == {NEWER.name}
    assert needed_by_others(TEMPLATE, [TEMPLATE, user]) == {ROOT.name}
    assert needed_by_others(TEMPLATE, [TEMPLATE, heir]) == {ROOT.name}
    # What it needs itself is not needed by others.
    assert needed_by_others(TEMPLATE, [TEMPLATE, domain("other", PRIVATE)]) == set()


def test_only_systems_carry_others() -> None:
    assert may_carry_others([PRIVATE, ROOT])
    assert may_carry_others([OwnVolume(Role.BASE, "pool", "x")])
    assert not may_carry_others([PRIVATE, OwnVolume(Role.SEED, "pool", "x"), OwnVolume(Role.KERNEL, "pool", "k")])


def test_one_domain_that_was_not_read_leaves_all_unknown() -> None:
    unread = Domain(DomainKey("x", "1"), "unread", DomainState.HALTED)
    assert are_known([TEMPLATE, domain("work")])
    assert not are_known([TEMPLATE, unread])


def test_the_system_is_the_first_disk_that_is_one() -> None:
    drive = Disk("sda", kind="cdrom", source="/iso")
    config = DomainConfig(disks=(drive, Disk("vda", source="/pool/a.qcow2"), Disk("vdb", source="/pool/b.qcow2")))
    assert system_source(config) == "a.qcow2"
    assert system_source(DomainConfig(disks=(drive,))) == ""
    assert images_in_use([domain("x", disks=config.disks)]) == {"iso", "a.qcow2", "b.qcow2"}
