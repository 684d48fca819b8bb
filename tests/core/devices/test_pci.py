"""The rules for PCI devices: what they are called, why one cannot be given away, and what goes along with it."""

import re
from dataclasses import replace

import pytest

from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass, parse_device_name
from qubes_manager.core.devices.pci import (
    PciDevice,
    PciHost,
    PciOptions,
    address_of,
    along_with,
    parse_options,
    place_of,
    warnings_for,
    why_not,
)
from qubes_manager.core.errors import BadInput, Refused

SYSTEM = PciHost("qemu:///system", has_iommu=True)
USB = PciDevice(
    "0000:00:14.0",
    class_code="0c0330",
    vendor_id="8086",
    product_id="a0ed",
    vendor="Intel Corporation",
    product="Tiger Lake-LP USB 3.2",
    driver="xhci_hcd",
    group=5,
    members=("0000:00:14.0",),
    can_reset=True,
    is_local=True,
    place="00_14.0",
)
SATA = replace(USB, address="0000:00:17.0", class_code="010601", driver="ahci", group=6, place="00_17.0")
CARD = replace(USB, address="0000:01:00.0", class_code="030000", driver="nouveau", group=7)


def reasons(device: PciDevice, *others: PciDevice, host: PciHost = SYSTEM, strict: bool = True) -> str:
    return "\n".join(why_not(device, host, [device, *others], PciOptions(strict)))


def test_it_is_called_by_its_place_and_by_what_it_is() -> None:
    device: Device = USB
    assert (device.port, device.location, device.ident) == ("0000_00_14.0", "00_14.0", "8086:a0ed:p0c0330")
    assert device.description == (
        "USB controller “Intel Corporation Tiger Lake-LP USB 3.2” (0000:00:14.0, xhci_hcd, IOMMU group 5)"
    )
    name = parse_device_name(f"dom0:{device.location}:{device.ident}")
    assert Assignment(DeviceClass.PCI, name.port, name.ident, Mode.REQUIRED).fits(device)
    assert address_of(device.port) == USB.address


def test_what_it_says_of_itself_breaks_nothing() -> None:
    loud = replace(USB, vendor="\x1b[2J" + "x" * 100000, product="\u202e", driver="a\nb", vendor_id="", product_id="")
    assert len(loud.name) < 120 and loud.description.isprintable() and loud.ident == ""
    ending = replace(USB, vendor="Good”, of dom0 “", product='a"b')
    assert ending.name == "USB controller “Good', of dom0 ' a'b”"
    assert replace(USB, vendor="", product="").name == "USB controller"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/sys/devices/pci0000:00/0000:00:14.0", "00_14.0"),
        ("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0", "00_1c.0-00_00.0"),
        ("/sys/devices/pci0000:00/0000:00:1c.0/0000:07:00.0", "00_1c.0-00_00.0"),
        ("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:08.0", "00_01.0-00_00.0-00_08.0"),
        ("/sys/devices/pci0000:80/0000:80:02.0", "80_02.0"),
        ("/sys/devices/pci0001:00/0001:00:02.0", "0001-00_02.0"),
        ("/sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0", "10000-00_0e.0-e0_06.0"),
        ("/sys/devices/virtual/net/lo", ""),
        ("/sys/devices/pci0000:00/0000:00:14.0/usb1", ""),
        ("", ""),
    ],
)
def test_its_place_stays_when_buses_are_numbered_anew(path: str, place: str) -> None:
    assert place_of(path) == place


@pytest.mark.parametrize("port", ["", "00_14.0", "0000_00_14.8", "../../etc", "0000_00_14.0" + "0" * 99, "*"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(BadInput, match="is written 0000_00_14"):
        address_of(port)


def test_one_that_nobody_uses_can_be_given() -> None:
    assert not reasons(USB, SATA, CARD) and not reasons(SATA, USB)


@pytest.mark.parametrize(
    ("device", "host", "words"),
    [
        (USB, PciHost("qemu:///session", True), "an ordinary user’s libvirt cannot.*qemu:///system"),
        (USB, PciHost("qemu+unix:///session?socket=/x", True), "an ordinary user’s libvirt cannot"),
        (replace(USB, group=None), PciHost("qemu:///system", False), "without an IOMMU.*VT-d.*AMD-Vi.*intel_iommu=on"),
        (replace(USB, group=None), SYSTEM, "has no IOMMU group"),
        (replace(SATA, uses=("sda (mounted at /)",)), SYSTEM, r"dom0 uses it: sda \(mounted at /\)"),
        (replace(SATA, is_local=False), SYSTEM, "cannot be seen from here; it may run from them"),
        (replace(USB, class_code="028000", is_local=False), SYSTEM, "whether that machine is reached by it cannot be"),
        (replace(USB, is_local=False), SYSTEM, "what is plugged into it cannot be seen from here"),
        (replace(CARD, is_local=False), SYSTEM, "whether that machine shows anything by it cannot be seen from here"),
        (replace(USB, class_code="", is_local=False), SYSTEM, "its host does not say what it is"),
        (replace(USB, class_code="060400"), SYSTEM, "it is a bridge: a part of the machine itself"),
        (CARD, SYSTEM, "the only graphics card"),
        (replace(USB, can_reset=False), SYSTEM, "cannot be reset.*no-strict-reset=yes"),
    ],
)
def test_why_it_cannot_be_given_is_said(device: PciDevice, host: PciHost, words: str) -> None:
    assert re.search(words, reasons(device, host=host))


def test_what_cannot_be_seen_is_no_reason_but_a_warning() -> None:
    far = replace(USB, class_code="040300", is_local=False, can_reset=None)
    assert not reasons(far, host=PciHost("qemu+ssh://far/system", None))
    assert any("cannot be seen from here" in words for words in warnings_for(far))


def test_what_cannot_be_seen_is_no_reason_where_somebody_gave_it_before() -> None:
    far, there = replace(USB, is_local=False), PciHost("qemu+ssh://far/system", True)
    assert why_not(far, there, [far]) and not why_not(far, there, [far], is_given=True)
    assert why_not(replace(far, uses=("sda is in use",)), there, [far], is_given=True)


def test_one_of_two_graphics_cards_can_go_unless_a_screen_is_on() -> None:
    other = replace(CARD, address="0000:00:02.0", group=1)
    assert not reasons(CARD, other)
    assert "screen DP-1 is on" in reasons(replace(CARD, uses=("screen DP-1 is on",)), other)


def test_one_that_cannot_be_reset_goes_where_that_is_no_matter() -> None:
    assert not reasons(replace(USB, can_reset=False), strict=False)


def test_what_of_its_group_is_in_use_goes_along() -> None:
    members = ("0000:01:00.0", "0000:01:00.1", "0000:01:00.2", "0000:00:01.0")
    group = [
        replace(CARD, members=members),
        replace(CARD, address="0000:01:00.1", class_code="040300", driver="snd_hda_intel"),
        replace(CARD, address="0000:01:00.2", class_code="0c0330", driver=""),
        replace(CARD, address="0000:00:01.0", class_code="060400", driver="pcieport"),
    ]
    spare = replace(CARD, address="0000:00:02.0", group=1)
    assert [one.address for one in along_with(group[0], [*group, USB])] == ["0000:01:00.1"]
    assert not reasons(*group, spare)
    assert any("0000_01_00.1, 0000_01_00.2" in words for words in warnings_for(group[0]))
    # What keeps the other here keeps both.
    group[1] = replace(group[1], uses=("network interface eth0 is up",))
    said = reasons(*group, spare)
    assert "0000:01:00.1, audio controller" in said and "would go along: dom0 uses it: network interface eth0" in said


def test_a_part_of_the_chipset_in_its_group_keeps_it_here() -> None:
    audio = replace(USB, address="0000:00:1f.3", class_code="040300", driver="snd_hda_intel", group=9)
    board = replace(USB, address="0000:00:1f.0", class_code="060100", driver="lpc_ich", group=9)
    assert "0000:00:1f.0, bridge" in reasons(audio, board) and "a part of the machine itself" in reasons(audio, board)


def test_devices_without_a_group_are_in_none_together() -> None:
    assert not along_with(replace(USB, group=None), [replace(SATA, group=None)])


def test_options_are_those_of_qubes() -> None:
    assert parse_options([]) == parse_options([("no-strict-reset", "no"), ("permissive", "no")]) == PciOptions(True)
    assert parse_options([("no-strict-reset", "true")]) == PciOptions(strict_reset=False)
    with pytest.raises(Refused, match="permissive is an option of Xen’s"):
        parse_options([("permissive", "yes")])
    with pytest.raises(BadInput, match="has no-strict-reset only"):
        parse_options([("read-only", "yes")])
    with pytest.raises(BadInput, match="use yes or no"):
        parse_options([("no-strict-reset", "maybe")])


def test_who_gives_a_usb_controller_away_hears_what_is_plugged_into_it() -> None:
    assert "what is on it goes along: “Logi Keyboard”" in warnings_for(replace(USB, carries=("“Logi Keyboard”",)))
