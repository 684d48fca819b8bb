"""The rules of devices."""

import pytest

from qubes_manager.core.devices import (
    BlockDevice,
    DiskRequest,
    cd_drive,
    free_target,
    refuse_if_held,
    refuse_if_host_uses,
)
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.hardware import Disk
from qubes_manager.core.image_use import ImageFile, ImageUse
from tests.build import domain


def test_a_device_in_use_is_refused_by_the_name_of_who_has_it() -> None:
    stick, other = (ImageFile("/dev/sdb", frozenset(("device:8:16",))),), domain("personal")
    held = [ImageUse(other.key, other.name, "sda", stick, active=True)]
    with pytest.raises(Refused, match="/dev/sdb: “personal” uses it as sda: detach it there first"):
        refuse_if_held(held, stick, domain(), "/dev/sdb", writes=True)
    with pytest.raises(Refused, match="“personal” has /dev/sdb already, as sda"):
        refuse_if_held(held, stick, other, "/dev/sdb", writes=True)
    with pytest.raises(Refused, match="dom0 uses /dev/sda: mounted at /home"):
        refuse_if_host_uses(BlockDevice("/dev/sda", in_use="mounted at /home"))


def test_what_another_domain_s_disk_stands_on_is_refused_and_said_to_be_below_it() -> None:
    base, top = (ImageFile(path, frozenset((path,))) for path in ("/base", "/top"))
    other = domain("personal")
    above, below = ImageUse(other.key, other.name, "vda", (top, base)), ImageUse(other.key, other.name, "vda", (base,))
    with pytest.raises(Refused, match="/base: “personal” has /top as vda, and /top stands on /base"):
        refuse_if_held([above], (base,), domain(), "/base", writes=True)
    with pytest.raises(Refused, match="/top: “personal” has /base as vda, and /top stands on /base"):
        refuse_if_held([below], (top, base), domain(), "/top", writes=True)
    # Readers do no harm to what is only read.
    refuse_if_held([above], (base,), domain(), "/base", writes=False)
    refuse_if_held([above], (), domain(), "/nothing", writes=True)


def test_targets_are_found_and_checked() -> None:
    assert free_target({"sda", "vda"}, "usb") == "sdb"
    assert free_target({"sda", "vda"}, "virtio") == "vdb"
    with pytest.raises(BadInput, match="bus: 'ide' cannot be used; use one of virtio, usb, scsi"):
        DiskRequest("/x", False, bus="ide").check()
    with pytest.raises(BadInput, match="frontend device"):
        DiskRequest("/x", False, bus="usb", target="vdb").check()


def test_a_device_cannot_spoil_its_description() -> None:
    device = BlockDevice("/dev/sdb", vendor="\x1b[31mEvil", model="USB\nStick", size=1 << 30, removable=True)
    assert device.description == "Evil USB Stick (1.0 GiB, removable)"


def test_the_only_drive_need_not_be_named_and_of_several_one_must_be() -> None:
    drives = (Disk("sda", kind="cdrom", source="/a.iso"), Disk("sdb", kind="cdrom"))
    one = domain(config=DomainConfig(disks=(Disk("vda"), drives[1])))
    two = domain(config=DomainConfig(disks=(Disk("vda"), *drives)))
    assert (cd_drive(one), cd_drive(one, "sdb"), cd_drive(two, "sda")) == (drives[1], drives[1], drives[0])
    with pytest.raises(Refused, match=r"“work” has several CD-ROM drives: name one of sda \(/a.iso\), sdb \(empty\)"):
        cd_drive(two)
    with pytest.raises(NotFound, match=r"“work” has no CD-ROM drive vda; it has sda \(/a.iso\), sdb \(empty\)"):
        cd_drive(two, "vda")
    with pytest.raises(NotFound, match=r"“work” has no CD-ROM drive$"):
        cd_drive(domain(config=DomainConfig(disks=(Disk("vda"),))))
