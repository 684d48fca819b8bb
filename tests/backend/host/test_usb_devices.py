"""The host's USB devices, from a sysfs and from libvirt."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host import usb_devices
from qubes_manager.backend.host.usb_devices import (
    interface_codes,
    list_usb_devices,
    local_usb_devices,
    parse_usb_device,
    with_uses,
)
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.usb import UNKNOWN, UsbDevice
from tests.usb_world import HUB, KEYBOARD, STICK, Plugged, missing_programs, usb_world

# As libvirt 9.0 writes them.
STICK_XML = """<device><name>usb_2_1_4</name><path>/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1.4</path>
<devnode type='dev'>/dev/bus/usb/002/007</devnode><parent>usb_2_1</parent><driver><name>usb</name></driver>
<capability type='usb_device'><bus>2</bus><device>7</device><product id='0x5581'>Ultra Fit</product>
<vendor id='0x0781'>SanDisk Corp.</vendor></capability></device>"""
INTERFACE_XML = """<device><name>usb_2_1_4_1_0</name><path>/sys/devices/usb2/2-1/2-1.4/2-1.4:1.0</path>
<parent>usb_2_1_4</parent><capability type='usb'><number>0</number><class>8</class><subclass>6</subclass>
<protocol>80</protocol></capability></device>"""
CONFIG = bytes([9, 2, 255, 255, 1, 1, 0, 0x80, 50])


def interface(*codes: int) -> bytes:
    return bytes([9, 4, 0, 0, 0, *codes, 0])


def device(*codes: int) -> bytes:
    return bytes([18, 1, 0, 2, *codes, 64]) + bytes(10)


def test_all_interfaces_of_all_settings_are_seen() -> None:
    endpoint, hid = bytes([7, 5, 0x81, 2, 0, 2, 0]), bytes([9, 0x21, 0x11, 1, 0, 1, 0x22, 0x3F, 0])
    usual = device(0, 0, 0) + CONFIG + interface(8, 6, 80) + endpoint + interface(8, 6, 98) + endpoint
    assert interface_codes(usual) == ("u080650", "u080662")
    second = CONFIG + interface(3, 1, 1) + hid + interface(8, 6, 80)
    assert interface_codes(usual + second) == ("u080650", "u080662", "u030101")
    # Nothing but the device itself says what it is, or nothing does.
    assert interface_codes(device(9, 0, 1)) == ("u090001",)
    assert interface_codes(device(0, 0, 0)) == (UNKNOWN,)


def test_broken_descriptors_end_nowhere_else() -> None:
    whole = device(0, 0, 0) + CONFIG + interface(3, 1, 1)
    assert interface_codes(whole + b"\0\0" + interface(8, 6, 80)) == ("u030101",)
    assert interface_codes(whole + interface(8, 6, 80)[:-1]) == ("u030101",)
    assert interface_codes(whole + bytes([8, 4, 0, 0, 0, 8, 6, 80])) == ("u030101",)
    assert interface_codes(b"") == interface_codes(b"\x12") == (UNKNOWN,)
    # One that has too many to name is still what it is.
    many = b"".join(interface(255, one, two) for one in range(32) for two in range(32))
    assert interface_codes(whole + many) == ("u03****", "uff****")


def put(sysfs: Path, plugged: Plugged) -> None:
    folder = sysfs / plugged.port
    folder.mkdir(parents=True)
    vendor, product = plugged.ids.split(":")
    texts = {"busnum": 1, "devnum": plugged.number, "idVendor": vendor, "idProduct": product}
    texts |= {"manufacturer": plugged.maker, "product": plugged.product}
    if plugged.serial:
        texts["serial"] = plugged.serial
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n")
    (folder / "descriptors").write_bytes(plugged.descriptors)


def test_this_machine_s_devices_are_read_as_the_kernel_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdb = BlockDevice("/dev/sdb", bus="usb", in_use="mounted at /media/x", place="usb-1-4")
    monkeypatch.setattr(usb_devices, "local_block_devices", lambda: [sdb])
    for plugged in (KEYBOARD, HUB, STICK):
        put(tmp_path, plugged)
    for other in ("usb1", "1-4:1.0"):
        (tmp_path / other).mkdir()
    # Unplugged while it is read.
    (tmp_path / "1-6").mkdir()
    stick, hub, keyboard = local_usb_devices(tmp_path)
    expected = UsbDevice("1-4", 1, 4, "0781", "5581", "SanDisk", "Ultra", "4C53", ("u080650",))
    assert (stick.ident, stick.name, stick.address) == (expected.ident, expected.name, "1.4")
    assert (stick.in_use, stick.drives) == ("disk sdb is mounted at /media/x", ("/dev/sdb",))
    assert (keyboard.port, keyboard.interfaces) == ("1-5.2", ("u030101", "u030000"))
    assert (hub.behind, hub.in_use, keyboard.behind) == (("“Logitech USB Keyboard”",), "", ())
    assert local_usb_devices(tmp_path / "none") == []


def test_what_a_device_says_at_any_length_is_read_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usb_devices, "local_block_devices", list)
    put(tmp_path, STICK)
    (tmp_path / "1-4/product").write_bytes(b"\xff" * 100_000)
    (tmp_path / "1-4/descriptors").write_bytes(STICK.descriptors + interface(3, 1, 1) * 500_000)
    (found,) = local_usb_devices(tmp_path)
    assert len(found.product) <= 512
    assert found.interfaces == ("u080650", "u030101")
    (tmp_path / "1-4/idVendor").write_text("0781;rm\n")
    assert local_usb_devices(tmp_path) == []


def test_a_drive_belongs_to_the_device_that_it_is_in_and_to_the_hubs_before_it() -> None:
    hub, stick, other = (
        UsbDevice(port, 2, number, "0001", "0002", interfaces=(code,))
        for port, number, code in (("2-1", 2, "u090000"), ("2-1.4", 3, "u080650"), ("2-1.40", 4, "u080650"))
    )
    root = "mounted at /"
    drives = [
        BlockDevice("/dev/sda", in_use=root, place="usb-2-1.4"),
        BlockDevice("/dev/sda1", in_use=root, whole="sda", partition=1, place="usb-2-1.4-part1"),
        BlockDevice("/dev/sdb", place="usb-2-1.4-slot1", in_use="LVM"),
        BlockDevice("/dev/vda", in_use=root, place="pci-0000_00_04.0"),
        BlockDevice("/dev/loop0", in_use=root),
    ]
    other, stick, hub = reversed(with_uses([other, stick, hub], drives))
    assert stick.in_use == "disk sda is mounted at /; disk sdb is in use (LVM)"
    assert stick.drives == ("/dev/sda", "/dev/sda1", "/dev/sdb")
    assert (hub.in_use, hub.behind) == (stick.in_use, ("USB drive", "USB drive"))
    assert (other.in_use, other.drives) == ("", ())


def test_an_adapter_by_which_this_machine_may_be_reached_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb_devices, "local_block_devices", list)
    bus, networks = tmp_path / "usb", tmp_path / "net"
    for plugged in (KEYBOARD, HUB, STICK):
        put(bus, plugged)
    real = tmp_path / "devices/pci0000:00/0000:00:14.0/usb1"
    for name, place, state in (
        ("enx1", real / "1-5/1-5.2/1-5.2:1.0", {"operstate": "up"}),
        ("wwan0", real / "1-5/1-5.2/1-5.2:1.1", {"operstate": "unknown", "carrier": "1"}),
        ("enx2", real / "1-4/1-4:1.0", {"operstate": "down", "carrier": "0"}),
        ("eth0", real.parents[1] / "0000:00:1f.6", {"operstate": "up"}),
    ):
        (card := place / "net" / name).mkdir(parents=True)
        for file, text in state.items():
            (card / file).write_text(text)
        (card / "device").symlink_to(place)
        networks.mkdir(exist_ok=True)
        (networks / name).symlink_to(card)
    (networks / "lo").mkdir()
    (networks / "lo/operstate").write_text("up")
    stick, hub, keyboard = local_usb_devices(bus, networks)
    assert keyboard.in_use == (
        "network interface enx1 is up: this machine may be reached by it; "
        "network interface wwan0 is up: this machine may be reached by it"
    )
    # It goes with the hub that it is plugged into.
    assert (hub.in_use, stick.in_use) == (keyboard.in_use, "")


def test_node_devices_are_read() -> None:
    stick = parse_usb_device(STICK_XML, [INTERFACE_XML])
    assert stick == UsbDevice("2-1.4", 2, 7, "0781", "5581", "SanDisk Corp.", "Ultra Fit", "", ("u080650",))
    second = INTERFACE_XML.replace("<protocol>80", "<protocol>98")
    both = [parse_usb_device(STICK_XML, xmls) for xmls in ([INTERFACE_XML, second], [second, INTERFACE_XML])]
    assert both[0] == both[1]
    bare = parse_usb_device(STICK_XML)
    assert bare and bare.interfaces == (UNKNOWN,)
    assert parse_usb_device(INTERFACE_XML) is None
    assert parse_usb_device("<device><name>computer</name></device>") is None


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("usb2/2-1/2-1.4", "usb2"),
        ("0x0781", "0781'"),
        ("<bus>2", "<bus>-2"),
        ("<device>7", "<device>99999999"),
        ("2-1.4", "../etc"),
    ],
)
def test_what_is_no_plugged_in_device_is_none(part: str, other: str) -> None:
    text = STICK_XML.replace("'0x0781'", '"0x0781"').replace(part, other)
    assert parse_usb_device(text) is None


async def test_a_driver_without_usb_devices_offers_none(driver: LibvirtConnection) -> None:
    assert await list_usb_devices(driver) == []


@pytest.fixture(scope="module")
def world() -> Iterator[str]:
    if missing := missing_programs():
        pytest.skip(f"no USB devices can be made here without {', '.join(missing)}")
    with usb_world() as made:
        yield made


async def test_libvirt_tells_them_where_the_kernel_cannot_be_asked(
    world: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(usb_devices, "SYSFS", tmp_path / "none")
    connection = LibvirtConnection(world, watch=False)
    await connection.open()
    try:
        found = await list_usb_devices(connection)
    finally:
        await connection.close()
    assert [device.port for device in found] == ["1-4", "1-5", "1-5.2"]
    assert [device.interfaces for device in found] == [("u080650",), ("u090000",), ("u030000", "u030101")]
    assert found[0].description == "“SanDisk Ultra” (USB drive, 0781:5581)"
    assert found[1].behind == ("“Logitech USB Keyboard”",)
