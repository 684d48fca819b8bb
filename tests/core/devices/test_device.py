"""Finding the device that a user means."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.device import is_called, require_one
from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName, parse_device_name
from qubes_manager.core.errors import NotFound, Refused
from tests.device_samples import CAMERA, CARD, DISC, ISO, KEYBOARD, MICROPHONE, PART, STICK, SYSTEM, USB_STICK

BLOCK = DeviceClass.BLOCK
TWIN = replace(STICK, path="/dev/sdc", place="usb-2-2")


@pytest.mark.parametrize(
    "name",
    [
        DeviceName("sdb"),
        DeviceName("usb-2-1"),
        DeviceName("sdb", ANY),
        DeviceName("sdb", STICK.ident),
        DeviceName("usb-2-1", STICK.ident),
        DeviceName(ANY, STICK.ident),
    ],
)
def test_a_device_is_called_by_its_port_its_place_or_what_it_is(name: DeviceName) -> None:
    assert is_called(STICK, name)
    assert require_one([SYSTEM, PART, STICK], name, BLOCK) is STICK
    assert require_one(iter([STICK, SYSTEM]), name, BLOCK) is STICK


@pytest.mark.parametrize("name", [DeviceName("sd"), DeviceName("sdb", "other"), DeviceName(ANY, "other")])
def test_nothing_else_is_it(name: DeviceName) -> None:
    assert not is_called(STICK, name)


def test_each_device_is_found_by_what_is_listed_of_it() -> None:
    for device in (STICK, PART, SYSTEM, DISC, ISO, USB_STICK, KEYBOARD, CAMERA, CARD, MICROPHONE):
        for port in (device.port, device.location):
            for ident in ("", device.ident):
                if port.startswith("/"):
                    ident = ""
                name = parse_device_name(DeviceName(port, ident).text)
                assert require_one([device], name, device.klass) is device


def test_of_two_that_say_the_same_the_port_is_to_be_named() -> None:
    assert STICK.ident == TWIN.ident
    with pytest.raises(Refused, match=rf"dom0:\*:{STICK.ident} could be sdb or sdc: name the port"):
        require_one([STICK, TWIN], DeviceName(ANY, STICK.ident), BLOCK)
    assert require_one([STICK, TWIN], DeviceName("usb-2-2", STICK.ident), BLOCK) is TWIN


def test_another_device_in_its_place_is_refused_and_named() -> None:
    with pytest.raises(Refused, match="at sdb there is another device than Evil_1: it says that it is SanDisk_Ultra"):
        require_one([STICK], DeviceName("sdb", "Evil_1"), BLOCK)
    silent = BlockDevice("/dev/sdb", place="usb-2-1")
    with pytest.raises(Refused, match="at usb-2-1 there is another device than Evil_1: it says that it is nothing"):
        require_one([silent], DeviceName("usb-2-1", "Evil_1"), BLOCK)


def test_what_is_not_there_is_said_with_its_class() -> None:
    for name, text in ((DeviceName("sdz"), "dom0:sdz"), (DeviceName(ANY, "x"), r"dom0:\*:x")):
        with pytest.raises(NotFound, match=f"this machine has no usb device {text}$"):
            require_one([], name, DeviceClass.USB)


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_what_a_device_says_of_itself_is_only_what_it_said(vendor: str, model: str, serial: str) -> None:
    """By whatever words, it takes the place of no other device that is named by port and ident."""
    evil = BlockDevice("/dev/sdc", vendor=vendor, model=model, serial=serial, place="usb-9")
    assert require_one([evil, STICK], DeviceName("sdb"), BLOCK) is STICK
    assert require_one([evil, STICK], DeviceName("sdb", STICK.ident), BLOCK) is STICK
    if evil.ident:
        name = DeviceName("usb-9", evil.ident)
        assert parse_device_name(name.text) == name
        assert require_one([evil, STICK], name, BLOCK) is evil
