"""What USB devices are called, and what is said before one is given away."""

import re
from dataclasses import replace

import pytest

from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass, DeviceName, parse_device_name
from qubes_manager.core.devices.usb import (
    UNKNOWN,
    UsbDevice,
    drive_use,
    is_held_as,
    is_hub,
    is_input,
    is_network_adapter,
    network_use,
    refuse_if_host_uses,
    usb_warnings,
)
from qubes_manager.core.errors import Refused

STICK = UsbDevice("2-1.4", 2, 7, "0781", "5581", "SanDisk", "Ultra Fit", "4C53/01", ("u080650", "u080662"))
KEYBOARD = UsbDevice("1-2", 1, 3, "046d", "c31c", "Logitech", "USB Keyboard", "", ("u030101", "u030000"))
HUB = UsbDevice("1-1", 1, 2, "05e3", "0608", interfaces=("u090000",), behind=("“Mouse”", "keyboard"))


def test_a_device_is_called_by_its_port_and_by_what_it_says_that_it_is() -> None:
    device: Device = STICK
    assert (device.klass, device.port, device.location, device.parent) == (DeviceClass.USB, "2-1.4", "usb-2-1.4", "")
    assert device.ident == "0781:5581:4C53_01:u080650u080662"
    assert (device.name, device.icon) == ("“SanDisk Ultra Fit”", "device-drive")
    assert device.description == "“SanDisk Ultra Fit” (USB drive, 0781:5581)"
    assert HUB.description == "USB hub (05e3:0608)"
    for text in (f"dom0:2-1.4:{device.ident}", f"usb-2-1.4:{device.ident}", f"*:{device.ident}"):
        written = text if text.startswith("dom0") else f"dom0:{text}"
        assert require_one([STICK, KEYBOARD], parse_device_name(written), DeviceClass.USB) is STICK
    assert replace(STICK, product="SanDisk Ultra").name == "“SanDisk Ultra”"
    assert replace(STICK, product="").name == "“SanDisk”"


def test_another_device_at_the_port_is_not_the_same_whatever_it_is_called() -> None:
    name = DeviceName(STICK.port, STICK.ident)
    for other in (replace(STICK, serial="4C54"), replace(STICK, interfaces=("u080650", "u080662", "u030101"))):
        with pytest.raises(Refused, match="there is another device"):
            require_one([other], name, DeviceClass.USB)


def test_words_of_a_device_neither_steer_nor_grow() -> None:
    evil = replace(STICK, vendor="\x1b[2J\n" * 999, product="A\u202eB" * 999, serial="/../" + "x" * 9999)
    assert evil.name.isprintable()
    assert len(evil.description) < 200
    assert len(evil.ident) < 120
    assert replace(STICK, vendor="Good” of dom0, “", product="").name == "“Good' of dom0, '”"
    assert "/" not in evil.ident


def test_an_ident_holds_every_interface_and_still_fits_a_name() -> None:
    codes = tuple(f"uff00{number:02x}" for number in range(200))
    many = replace(STICK, serial="s" * 99, interfaces=codes)
    other = replace(many, interfaces=(*codes[:-1], "u030101"))
    assert many.ident != other.ident
    # A name that is longer cannot be written (parse_device_name).
    assert parse_device_name(f"dom0:2-1:{many.ident}").ident == many.ident


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("u030101",), True),
        (("u080650", "u030000"), True),
        (("u03****",), True),
        ((UNKNOWN,), True),
        (("u080650",), False),
        (("u090000",), False),
    ],
)
def test_whatever_can_type_is_input(codes: tuple[str, ...], expected: bool) -> None:
    assert is_input(replace(STICK, interfaces=codes)) is expected


def test_keyboards_mice_and_hubs_are_warned_of() -> None:
    assert usb_warnings(STICK) == []
    (keyboard,) = usb_warnings(KEYBOARD)
    assert "unable to type on this machine until it is back" in keyboard
    both = usb_warnings(replace(KEYBOARD, interfaces=("u030101", "u030102")))
    assert ["keyboard" in both[0], "mouse: you may be unable to point" in both[1]] == [True, True]
    (unclear,) = usb_warnings(replace(KEYBOARD, interfaces=("u030000",)))
    assert "is an input device" in unclear
    (hub,) = usb_warnings(HUB)
    assert "loses all that is plugged into it: “Mouse”, keyboard." in hub
    assert is_hub(HUB) and not is_hub(KEYBOARD)
    (full,) = usb_warnings(replace(HUB, behind=tuple("abcdefg")))
    assert "a, b, c, d, e and 2 more." in full


def test_one_that_does_not_say_what_it_can_may_type() -> None:
    (unknown,) = usb_warnings(replace(KEYBOARD, interfaces=(UNKNOWN,)))
    assert "does not say what it can do, and may be an input device" in unknown


@pytest.mark.parametrize(
    ("code", "is_network", "words"),
    [
        ("u020600", True, "is a network adapter: this machine has no connection by it"),
        ("ue00103", True, "is a network adapter"),
        ("ue00101", False, "is a Bluetooth adapter.*a keyboard or a mouse may be"),
    ],
)
def test_adapters_are_warned_of(code: str, is_network: bool, words: str) -> None:
    adapter = replace(STICK, interfaces=(code,))
    (said,) = usb_warnings(adapter)
    assert re.search(words, said)
    assert is_network_adapter(adapter) is is_network
    assert not is_network_adapter(STICK)


def test_a_network_adapter_that_is_up_stays() -> None:
    used = replace(STICK, in_use=network_use("eth1\n" + "x" * 99))
    with pytest.raises(Refused, match=r"network interface eth1 x+… is up: this machine may be reached by it; end that"):
        refuse_if_host_uses(used)


def test_what_the_host_uses_stays_with_it() -> None:
    refuse_if_host_uses(STICK)
    assert drive_use("sdb", "swap") == "disk sdb is in use (swap)"
    used = replace(STICK, in_use=drive_use("sdb", "mounted at /media/x"))
    with pytest.raises(Refused, match=r"dom0 uses “SanDisk Ultra Fit” at 2-1\.4: disk sdb is mounted at /media/x"):
        refuse_if_host_uses(used)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (HostDevice(DeviceClass.USB, "2.7", "0781:5581"), True),
        (HostDevice(DeviceClass.USB, "2.7"), True),
        (HostDevice(DeviceClass.USB, "", "0781:5581"), True),
        # Another device got the number.
        (HostDevice(DeviceClass.USB, "2.7", "046d:c31c"), False),
        # One like it has another number.
        (HostDevice(DeviceClass.USB, "2.8", "0781:5581"), False),
        (HostDevice(DeviceClass.PCI, "2.7"), False),
    ],
)
def test_a_domain_has_a_device_by_its_numbers_and_by_what_it_is(held: HostDevice, expected: bool) -> None:
    assert is_held_as(STICK, held) is expected
