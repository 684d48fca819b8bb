"""Devices as people think of them: one row for each thing, in sections, with who has it."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from qubes_manager.core.devices.block import IMAGE, BlockDevice
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.usb import UsbDevice
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.hardware import Disk
from qubes_manager.models.device_tree import Entry, Listing, Section, inserted_discs, make_sections
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.devices.watch import identity
from tests.device_samples import (
    CAMERA,
    CARD,
    DISC,
    HELD,
    ISO,
    KEYBOARD,
    MICROPHONE,
    PART,
    STICK,
    SYSTEM,
    UNTRUSTED,
    URI,
    USB_STICK,
    VAULT,
    WORK,
    guest,
)

OTHER = "qemu:///system"
FAR = "qemu+ssh://root@far.example/system"


def sections(*devices: Device | Offered, uri: str = URI, new: Iterable[Device] = ()) -> list[Section]:
    offered = tuple(one if isinstance(one, Offered) else Offered(one) for one in devices)
    return make_sections([Listing(uri, offered, frozenset(map(identity, new)))])


def outline(entries: Iterable[Entry]) -> list[object]:
    return [(entry.title, outline(entry.parts)) if entry.parts else entry.title for entry in entries]


def test_everything_stands_under_its_kind_in_plain_words() -> None:
    found = sections(SYSTEM, STICK, DISC, CARD, KEYBOARD, MICROPHONE, ISO)
    assert {section.title: outline(section.entries) for section in found} == {
        "Drives": ["“Samsung SSD”", "“SanDisk Ultra”"],
        "Discs": ["“HL DVD”"],
        "Image files": ["“debian.iso”"],
        "USB devices": ["“Logitech USB Keyboard”"],
        "PCI devices": ["Network controller “Realtek RTL8111”"],
        "Microphone": ["Microphone"],
    }
    assert found[0].title == "Drives"
    assert sections() == []


def test_a_stick_is_one_row_though_it_is_a_drive_a_partition_and_a_usb_device() -> None:
    [drives] = sections(STICK, PART, USB_STICK)
    assert outline(drives.entries) == [
        ("“SanDisk Ultra”", ["Partition 1 “HOLIDAY”", "The whole USB device"]),
    ]
    [stick] = drives.entries
    assert [part.device for part in stick.parts] == [PART, USB_STICK]
    assert (stick.what, stick.parts[0].what) == ("28.7 GiB, USB drive", "28.7 GiB, vfat")


def test_what_is_no_drive_alone_is_seen_as_what_it_is() -> None:
    # A “stick” that can type must not hide behind its drive.
    rubber_ducky = replace(USB_STICK, interfaces=("u080650", "u030101"))
    [devices] = sections(STICK, rubber_ducky)
    assert (devices.title, outline(devices.entries)) == ("USB devices", [("“SanDisk Ultra”", ["“SanDisk Ultra”"])])
    assert devices.entries[0].what == "keyboard, 0781:5581"
    reader = [replace(STICK, path=f"/dev/sd{n}", slot=n, place=f"usb-2-1-slot{n}") for n in (1, 2)]
    [drives] = sections(*reader, USB_STICK)
    assert outline(drives.entries) == [("“SanDisk Ultra”", ["“SanDisk Ultra”", "“SanDisk Ultra”"])]


@pytest.mark.parametrize("port", ["2", "2-10", "2-1.4", "2-2"])
def test_a_drive_is_in_no_other_device(port: str) -> None:
    other = UsbDevice(port, 2, 9, "0781", "0001", product="Other", interfaces=("u080650",))
    [drives] = sections(STICK, other)
    assert outline(drives.entries) == ["“SanDisk Ultra”", "“Other”"]


def test_who_has_it_is_said_with_the_name_there() -> None:
    [drives] = sections(Offered(STICK, (HELD,)), PART, USB_STICK, SYSTEM)
    stick, system = drives.entries
    assert stick.where == "untrusted (sda)"
    assert [part.where for part in stick.parts] == ["untrusted, with the whole drive", "untrusted, its drive"]
    assert system.where == "this machine: mounted at /"
    [part] = sections(STICK, Offered(PART, (HELD,)), USB_STICK)
    assert part.entries[0].where == "untrusted, a part of it"
    [cards] = sections(Offered(CARD, (Holder(VAULT, "hostdev0", later=True),)))
    assert cards.entries[0].where == "vault, from its next start on"
    [usb] = sections(Offered(CAMERA, (Holder(WORK, "ua-qubes-1-6"),)), KEYBOARD)
    assert [entry.where for entry in usb.entries] == ["work", "free"]


def test_connections_of_one_machine_have_the_same_devices_and_those_of_others_stand_apart() -> None:
    elsewhere = replace(guest("system-vm"), key=DomainKey(OTHER, "1"))
    listings = [
        Listing(URI, (Offered(STICK, (HELD,)),)),
        Listing(OTHER, (Offered(STICK, (HELD, Holder(elsewhere, "sdc"))),), frozenset({identity(STICK)})),
        Listing(FAR, (Offered(STICK),)),
    ]
    here, far = make_sections(listings)
    assert (here.title, far.title) == ("Drives", "Drives of far.example")
    [stick] = here.entries
    assert (stick.where, stick.is_new) == ("untrusted (sda); system-vm (sdc)", True)
    assert far.entries[0].key != stick.key


def test_a_thing_is_new_once_whatever_of_it_came() -> None:
    [drives] = sections(STICK, PART, USB_STICK, SYSTEM, new=[USB_STICK, PART])
    stick, system = drives.entries
    assert (stick.is_new, system.is_new) == (True, False)
    assert not any(part.is_new for part in stick.parts)


def test_what_a_device_calls_itself_is_one_bounded_line() -> None:
    evil = replace(STICK, vendor="<b>\x1b[31m\n", model="x\u202e" * 5000, filesystem="\x07" * 5000, in_use="y" * 9000)
    keyboard = replace(KEYBOARD, product="z\n" * 5000)
    card = replace(CARD, product="\u202e" + "w" * 5000)
    image = BlockDevice(f"/{'v' * 5000}\n\x1b[1m", kind=IMAGE)
    for section in sections(evil, keyboard, card, image):
        [entry] = section.entries
        for text in (entry.title, entry.called, entry.what, entry.where, entry.summary):
            assert len(text) < 400, text
            assert text.isprintable() and "\u202e" not in text


def test_discs_in_the_drives_of_domains_are_there_too() -> None:
    drives = (Disk("sdb", "sata", kind="cdrom", source=ISO.path), Disk("sdc", "sata", kind="cdrom"))
    one, other = (
        guest("one", disks=drives),
        guest("other", disks=(*drives, Disk("sdd", kind="cdrom", source="/dev/sr0"))),
    )
    [disc] = inserted_discs([one, other, UNTRUSTED])
    assert disc.device == ISO
    assert [(holder.domain.name, holder.place) for holder in disc.holders] == [("one", "sdb"), ("other", "sdb")]
    [images] = sections(ISO, disc)
    assert len(images.entries) == 1 and len(images.entries[0].holders) == 2
