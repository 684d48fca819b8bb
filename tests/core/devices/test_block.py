"""The rules of block devices, and what of their own words comes into them."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.devices.block import (
    IMAGE,
    OPTICAL_DRIVE,
    PARTITION,
    BlockDevice,
    DiskRequest,
    cd_drive,
    free_target,
    refuse_if_held,
    refuse_if_host_uses,
    request_of,
)
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass, DeviceName, parse_device_name
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.hardware import Disk
from qubes_manager.core.image_use import ImageFile, ImageUse
from tests.build import domain
from tests.device_samples import DISC, ISO, PART, STICK, SYSTEM

MIB = 1 << 20
# What would leave the line, the quotation marks or the direction of the text around it.
HOSTILE = ("\x1b[31m", "\x1b]0;x\x07", "\n", "\r", "\u202e", "\u2066", "\0", "\ud800", "\u2028", "\u00ad")


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
    assert device.description == "“Evil USB Stick” (1.0 GiB, disk, removable)"


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


def test_of_twenty_six_targets_none_is_given_twice() -> None:
    for bus, letters in (("usb", "sd"), ("scsi", "sd"), ("virtio", "vd")):
        taken: list[str] = []
        for _ in range(26):
            taken.append(free_target(taken, bus))
        assert taken == [f"{letters}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
        with pytest.raises(Refused, match=f"the domain has no free place on its {bus} bus"):
            free_target(taken, bus)


def test_what_all_devices_have() -> None:
    device: Device = STICK
    assert (device.klass, device.port, device.location, device.parent) == (DeviceClass.BLOCK, "sdb", "usb-2-1", "")
    assert device.ident == "SanDisk_Ultra_4C53"
    assert device.interfaces == ("b******", "u08****")
    assert (PART.port, PART.location, PART.parent) == ("sdb1", "usb-2-1-part1", "sdb")
    assert PART.ident == "SanDisk_Ultra_4C53:1"
    assert SYSTEM.interfaces == ("b******",)
    assert (ISO.port, ISO.location, ISO.ident) == ("/home/u/debian.iso", "/home/u/debian.iso", "")
    assert BlockDevice("/dev/sdb").location == "sdb"


def test_slots_and_partitions_of_one_reader_are_devices_of_their_own() -> None:
    slots = [replace(STICK, slot=slot, partition=part) for slot in (0, 1, 2) for part in (0, 1, 2)]
    assert [one.ident.removeprefix("SanDisk_Ultra_4C53") for one in slots] == [
        *("", ":1", ":2"),
        *(":slot1", ":slot1:1", ":slot1:2"),
        *(":slot2", ":slot2:1", ":slot2:2"),
    ]


def test_a_device_that_names_only_its_maker_says_nothing_of_itself() -> None:
    for silent in (replace(STICK, model="", serial=""), replace(STICK, vendor="", model="", serial="", partition=3)):
        assert silent.ident == ""
    assert replace(STICK, vendor="", model="///", serial="\u202e").ident == ""


@given(st.text(), st.text(), st.text(), st.integers(0, 255), st.integers(0, 9))
def test_an_ident_can_be_written_and_read_whatever_a_device_says(
    vendor: str, model: str, serial: str, partition: int, slot: int
) -> None:
    device = BlockDevice("/dev/sdb", vendor=vendor, model=model, serial=serial, partition=partition, slot=slot)
    if device.ident:
        assert parse_device_name(f"dom0:sdb:{device.ident}") == DeviceName("sdb", device.ident)
        assert re.fullmatch(r"[A-Za-z0-9._+:-]{1,255}", device.ident)


@given(
    st.sampled_from(("disk", PARTITION, OPTICAL_DRIVE, IMAGE)),
    st.text(),
    st.text(),
    st.text(),
    st.sampled_from(HOSTILE),
)
def test_no_words_of_a_device_leave_its_line(kind: str, model: str, label: str, system: str, evil: str) -> None:
    device = BlockDevice(
        "/dev/sdb", kind=kind, vendor=evil, model=model + evil, label=evil + label, filesystem=system + evil, bus="usb"
    )
    for text in (device.name, device.description, *device.notes):
        assert text.isprintable(), ascii(text)
        assert len(text) < 250


def test_a_megabyte_of_words_is_a_short_line() -> None:
    words = "x" * MIB
    device = BlockDevice("/dev/sdb", vendor=words, model=words, serial=words, label=words, filesystem=words)
    for kind in ("disk", PARTITION):
        one = replace(device, kind=kind, partition=1)
        assert len(one.description) < 250
        assert len(one.ident) <= 255


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (STICK, "“SanDisk Ultra” (28.7 GiB, USB drive)"),
        (PART, "partition 1 “HOLIDAY” (28.7 GiB, vfat)"),
        (replace(PART, label=""), "partition 1 (28.7 GiB, vfat)"),
        (replace(PART, filesystem="crypto_LUKS", label=""), "partition 1 (28.7 GiB, encrypted (LUKS))"),
        (SYSTEM, "“Samsung SSD” (931 GiB, disk)"),
        (DISC, "“HL DVD” (700 MiB, optical drive)"),
        (replace(DISC, size=0, media=False), "“HL DVD” (no medium, optical drive)"),
        (BlockDevice("/dev/sdb"), "disk"),
        (ISO, "image"),
        (replace(STICK, read_only=True, removable=True, slot=1), "“SanDisk Ultra” (28.7 GiB, USB drive, slot 2, "),
        (replace(STICK, label="DATA", filesystem="ext4"), "“SanDisk Ultra” (28.7 GiB, USB drive, ext4 “DATA”)"),
    ],
)
def test_what_people_read_of_a_device(device: BlockDevice, words: str) -> None:
    assert device.description.startswith(words)
    assert device.icon.startswith("device-")


def test_options_come_into_the_request() -> None:
    options = {"bus": "scsi", "frontend-dev": "sdc", "serial": "abc", "format": "raw", "read-only": "yes"}
    assert request_of(STICK, options) == DiskRequest(
        "/dev/sdb", True, "raw", "scsi", read_only=True, target="sdc", serial="abc", chosen=("usb-2-1", STICK.ident)
    )
    assert request_of(ISO, {"format": "qcow2"}, persistent=True) == DiskRequest(
        "/home/u/debian.iso", False, "qcow2", persistent=True
    )
    assert request_of(STICK, {"read-only": "no"}).read_only is False


def test_what_can_only_be_read_is_not_asked_to_be_written() -> None:
    assert request_of(DISC, {}).read_only
    assert request_of(DISC, {"read-only": "no"}).read_only


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"speed": "9"},
            "option: 'speed=9' cannot be used; use NAME=VALUE with one of bus, frontend-dev, serial, format",
        ),
        ({"bus": "ide"}, "bus: 'ide' cannot be used; use one of virtio, usb, scsi"),
        ({"format": "qcow2"}, "format: 'qcow2' cannot be used; a device is raw"),
        ({"frontend-dev": "hda"}, "frontend device: 'hda' cannot be used; on usb it is sda"),
        ({"frontend-dev": "sda/../x"}, "frontend device: 'sda/../x' cannot be used"),
        ({"bus": "virtio", "frontend-dev": "sda"}, "frontend device: 'sda' cannot be used; on virtio it is vda"),
        ({"read-only": "perhaps"}, "read-only: 'perhaps' cannot be used; use True or False"),
        ({"serial": "a b"}, "serial: 'a b' cannot be used; use letters, digits"),
        ({"serial": "x" * 21}, f"serial: '{'x' * 21}' cannot be used"),
        ({"serial": "-x"}, "serial: '-x' cannot be used"),
        ({"devtype": "lun", "bus": "usb"}, "devtype: 'lun' cannot be used; a drive that takes commands itself"),
        ({"devtype": "floppy"}, "devtype: 'floppy' cannot be used"),
        # What stands in a request and is no option of anybody's.
        ({"socket": "/run/x"}, "option: 'socket=/run/x' cannot be used"),
        ({"chosen": "x"}, "option: 'chosen=x' cannot be used"),
        ({"persistent": "True"}, "option: 'persistent=True' cannot be used"),
    ],
)
def test_options_that_there_are_not_are_refused(options: dict[str, str], line: str) -> None:
    with pytest.raises(BadInput, match=re.escape(line)):
        request_of(STICK, options)


def test_the_formats_of_an_image_are_those_that_are_never_guessed() -> None:
    for name in ("raw", "qcow2"):
        DiskRequest("/x", False, name).check()
    with pytest.raises(BadInput, match="format: 'vmdk' cannot be used; use one of raw, qcow2"):
        DiskRequest("/x", False, "vmdk").check()


def test_a_device_that_nobody_uses_is_not_refused() -> None:
    refuse_if_host_uses(STICK)
    refuse_if_held([], (ImageFile("/dev/sdb", frozenset(("device:8:16",))),), domain(), "/dev/sdb", writes=True)


def test_a_device_s_own_words_end_where_the_quotation_marks_do() -> None:
    for device in (replace(STICK, model="Disk” (1 TB) of dom0, “"), replace(PART, label="x” (931 GiB)")):
        assert device.name.count("”") == 1
