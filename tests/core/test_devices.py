"""The rules of devices."""

import pytest

from qubes_manager.core.devices import (
    BlockDevice,
    DiskRequest,
    free_target,
    holders,
    refuse_if_held,
    refuse_if_host_uses,
)
from qubes_manager.core.domain import Disk, DomainConfig
from qubes_manager.core.errors import BadInput, Refused
from tests.build import domain


def test_a_device_in_use_is_refused_by_the_name_of_who_has_it() -> None:
    disk = Disk("sda", source="/dev/sdb")
    other = domain("personal", config=DomainConfig(disks=(disk,)))
    held = holders([domain(), other], ["/dev/sdb"])
    with pytest.raises(Refused, match="“personal” uses /dev/sdb"):
        refuse_if_held(held, domain(), "/dev/sdb", read_only=False)
    with pytest.raises(Refused, match="“personal” has /dev/sdb already, as sda"):
        refuse_if_held(held, other, "/dev/sdb", read_only=False)
    with pytest.raises(Refused, match="dom0 uses /dev/sda: mounted at /home"):
        refuse_if_host_uses(BlockDevice("/dev/sda", in_use="mounted at /home"))


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
