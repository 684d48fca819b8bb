"""PCI devices as libvirt and sysfs tell them: of machines that are written down here, and this one's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.pci_devices import (
    list_pci_devices,
    local_device,
    local_facts,
    parse_iommu,
    parse_pci_device,
    pci_host,
)
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.pci import PciDevice, PciHost
from tests.system_daemon import system_daemon

# By libvirt's formatnode: a laptop's controller, and a card's second function behind a port.
LAPTOP = """<device><name>pci_0000_00_14_0</name><path>/sys/devices/pci0000:00/0000:00:14.0</path>
  <parent>computer</parent><driver><name>xhci_hcd</name></driver>
  <capability type='pci'><class>0x0c0330</class><domain>0</domain><bus>0</bus><slot>20</slot><function>0</function>
    <product id='0xa0ed'>Tiger Lake-LP USB 3.2 Gen 2x1 xHCI Host Controller</product>
    <vendor id='0x8086'>Intel Corporation</vendor>
    <iommuGroup number='5'>
      <address domain='0x0000' bus='0x00' slot='0x14' function='0x0'/>
      <address domain='0x0000' bus='0x00' slot='0x14' function='0x2'/>
    </iommuGroup></capability></device>"""
CARD = """<device><name>pci_0000_10_00_1</name>
  <path>/sys/devices/pci0000:00/0000:00:03.1/0000:10:00.1</path><parent>pci_0000_00_03_1</parent>
  <capability type='pci'><class>0x040300</class><domain>0</domain><bus>16</bus><slot>0</slot><function>1</function>
    <product id='0x10f0'/><vendor id='0x10de'/><numa node='0'/>
    <pci-express><link validity='cap' port='0' speed='8' width='16'/></pci-express></capability></device>"""
NO_PCI = "<device><name>net</name><capability type='net'><interface>eth0</interface></capability></device>"
CARDS = ("0000:00:1f.6", "0000:03:00.0")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a system’s libvirtd is root’s")


def test_a_controller_with_its_group() -> None:
    assert parse_pci_device(LAPTOP) == PciDevice(
        "0000:00:14.0",
        class_code="0c0330",
        vendor_id="8086",
        product_id="a0ed",
        vendor="Intel Corporation",
        product="Tiger Lake-LP USB 3.2 Gen 2x1 xHCI Host Controller",
        driver="xhci_hcd",
        group=5,
        members=("0000:00:14.0", "0000:00:14.2"),
        place="00_14.0",
    )


def test_a_card_without_names_driver_and_group() -> None:
    # libvirt writes the numbers in decimal: this bus is 0x10.
    assert parse_pci_device(CARD) == PciDevice(
        "0000:10:00.1", class_code="040300", vendor_id="10de", product_id="10f0", place="00_03.1-00_00.1"
    )


@pytest.mark.parametrize(
    "xml",
    [
        NO_PCI,
        LAPTOP.replace("<slot>20</slot>", ""),
        LAPTOP.replace("<slot>20</slot>", "<slot>-1</slot>"),
        LAPTOP.replace("<function>0</function>", "<function>9</function>"),
        LAPTOP.replace("<bus>0</bus>", f"<bus>{'9' * 9}</bus>"),
    ],
)
def test_what_is_none_is_left_out(xml: str) -> None:
    assert parse_pci_device(xml) is None


def test_what_is_no_number_is_not_taken_for_one() -> None:
    found = parse_pci_device(
        LAPTOP.replace("0x0c0330", "0xzz").replace("0x8086", "0x8086; rm").replace("number='5'", "number='many'")
    )
    assert found and (found.class_code, found.vendor_id, found.group) == ("", "", None)


def test_whether_there_is_an_iommu() -> None:
    text = "<capabilities><host><iommu support='{}'/></host></capabilities>"
    assert parse_iommu(text.format("yes")) is True and parse_iommu(text.format("no")) is False
    assert parse_iommu("<capabilities><host/></capabilities>") is None


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A machine with a disk behind a port, a stick and a hub on a USB controller, two network cards, and a screen."""
    root = tmp_path / "devices/pci0000:00"
    nvme = root / "0000:00:1d.0/0000:02:00.0/nvme/nvme0/nvme0n1"
    usb = root / "0000:00:14.0/usb1"
    files = {
        nvme / "device/model": "x",
        usb / "1-1/manufacturer": "Logi\x1b[2J",
        usb / "1-1/product": "Key”board",
        usb / "1-1/bDeviceClass": "00",
        usb / "1-2/bDeviceClass": "09",
        root / "0000:00:1f.6/net/eth0/operstate": "up",
        root / "0000:03:00.0/net/eth1/operstate": "down",
        root / "0000:00:02.0/drm/card0/card0-eDP-1/enabled": "enabled",
        root / "0000:00:02.0/boot_vga": "1",
        root / "0000:00:14.0/reset_method": "pm",
        root / "0000:00:1f.6/reset_method": "",
        root / "0000:00:1d.0/reset": "",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    links = {"class/block/nvme0n1": nvme, "bus/usb/devices/1-1": usb / "1-1", "bus/usb/devices/1-2": usb / "1-2"}
    links |= {
        f"class/net/eth{n}": root / place / f"net/eth{n}" for n, place in ((0, "0000:00:1f.6"), (1, "0000:03:00.0"))
    }
    links["class/drm/card0-eDP-1"] = root / "0000:00:02.0/drm/card0/card0-eDP-1"
    for place in ("0000:00:02.0", "0000:00:14.0", "0000:00:1f.6", "0000:00:1d.0"):
        links[f"bus/pci/devices/{place}"] = root / place
    for name, target in links.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(target)
    for number, place in enumerate(CARDS):
        (root / place / f"net/eth{number}/device").symlink_to(root / place)
    return tmp_path


def test_what_this_machine_does_with_them(sysfs: Path) -> None:
    facts = local_facts(sysfs, [BlockDevice("/dev/nvme0n1", in_use="mounted at /"), BlockDevice("/dev/sdz")])
    disk = ("nvme0n1 (mounted at /)",)
    # The bridge has it as well.
    assert facts.uses == {
        "0000:00:1d.0": disk,
        "0000:02:00.0": disk,
        "0000:00:1f.6": ("network interface eth0 is up",),
        "0000:00:02.0": ("screen eDP-1 is on",),
    }
    assert facts.carries["0000:00:14.0"] == ("“Logi Key'board”",)
    assert facts.carries["0000:02:00.0"] == ("drive nvme0n1",)


def at_subsystem(sysfs: Path, *controllers: str) -> None:
    """A drive of NVMe as the kernel has it that looks for several ways to it."""
    subsystem = sysfs / "devices/virtual/nvme-subsystem/nvme-subsys0"
    (subsystem / "nvme1n1/nvme1n1p1").mkdir(parents=True)
    for number, place in enumerate(controllers, 1):
        (sysfs / place).mkdir(parents=True)
        (subsystem / f"nvme{number}").symlink_to(sysfs / place)
    (subsystem / "nvme1n1/device").symlink_to(subsystem)
    for name in ("nvme1n1", "nvme1n1/nvme1n1p1"):
        (sysfs / "class/block" / Path(name).name).symlink_to(subsystem / name)


@pytest.mark.parametrize("name", ["nvme1n1", "nvme1n1p1"])
def test_a_drive_of_several_ways_is_at_each_of_its_controllers(sysfs: Path, name: str) -> None:
    root = "devices/pci0000:00"
    at_subsystem(sysfs, f"{root}/0000:00:1d.4/0000:04:00.0/nvme/nvme1", f"{root}/0000:05:00.0/nvme/nvme2")
    facts = local_facts(sysfs, [BlockDevice(f"/dev/{name}", in_use="mounted at /")])
    found = {place: facts.uses.get(place) for place in ("0000:00:1d.4", "0000:04:00.0", "0000:05:00.0")}
    assert set(found.values()) == {(f"{name} (mounted at /)",)}
    assert facts.anywhere == () and "0000:02:00.0" not in facts.uses
    assert facts.carries["0000:05:00.0"] == ("drive nvme1n1",)


def made_of(sysfs: Path, name: str, *slaves: str) -> None:
    folder = sysfs / "devices/virtual/block" / name
    (folder / "slaves").mkdir(parents=True)
    for slave in slaves:
        (folder / "slaves" / slave).symlink_to(sysfs / "class/block" / slave)
    (sysfs / "class/block" / name).symlink_to(folder)


def test_what_is_made_of_disks_is_where_they_are(sysfs: Path) -> None:
    made_of(sysfs, "md0", "nvme0n1")
    made_of(sysfs, "dm-0", "md0")
    (sysfs / "devices/virtual/block/dm-0/dm-0p1").mkdir()
    (sysfs / "class/block/dm-0p1").symlink_to(sysfs / "devices/virtual/block/dm-0/dm-0p1")
    for name in ("dm-0", "dm-0p1"):
        facts = local_facts(sysfs, [BlockDevice(f"/dev/{name}", in_use="swap")])
        assert (facts.uses["0000:02:00.0"], facts.anywhere) == ((f"{name} (swap)",), ())


@pytest.mark.parametrize("name", ["dm-1", "dm-2", "dm-3", "nvme1n1", "gone", "cciss/c0d0"])
def test_a_used_disk_that_may_be_anywhere_makes_every_storage_controller_used(sysfs: Path, name: str) -> None:
    made_of(sysfs, "dm-1")
    # One of its two is found.
    made_of(sysfs, "dm-2", "nvme0n1", "dm-1")
    # Whoever made this one made it of itself.
    made_of(sysfs, "dm-3", "dm-3")
    at_subsystem(sysfs)
    facts = local_facts(sysfs, [BlockDevice(f"/dev/{name}", in_use="mounted at /")])
    storage = local_device(sysfs, PciDevice("0000:00:17.0", class_code="010601"), facts)
    assert "(mounted at /), whose controller is not found" in storage.in_use
    assert not local_device(sysfs, PciDevice("0000:00:14.0", class_code="0c0330"), facts).uses
    assert ("0000:02:00.0" in facts.uses) is (name == "dm-2")


def test_a_disk_with_a_slash_in_its_name_is_found(sysfs: Path) -> None:
    (sysfs / "class/block/cciss!c0d0").symlink_to((sysfs / "class/block/nvme0n1").resolve())
    facts = local_facts(sysfs, [BlockDevice("/dev/cciss/c0d0", in_use="swap")])
    assert (facts.uses["0000:02:00.0"], facts.anywhere) == (("c0d0 (swap)",), ())


def test_a_real_disk_on_no_pci_bus_is_on_no_controller_of_it(sysfs: Path) -> None:
    (sysfs / "devices/platform/mmc0/block/mmcblk0").mkdir(parents=True)
    (sysfs / "class/block/mmcblk0").symlink_to(sysfs / "devices/platform/mmc0/block/mmcblk0")
    card, unused = BlockDevice("/dev/mmcblk0", in_use="mounted at /"), BlockDevice("/dev/gone")
    facts = local_facts(sysfs, [card, unused])
    assert facts.anywhere == () and not any("mmcblk0" in use for uses in facts.uses.values() for use in uses)


@pytest.mark.parametrize(
    ("address", "uses", "can_reset"),
    [
        ("0000:00:02.0", ("screen eDP-1 is on", "its console"), False),
        ("0000:00:14.0", (), True),
        ("0000:00:1f.6", ("network interface eth0 is up",), False),
        ("0000:00:1d.0", (), True),
        ("0000:09:00.0", (), False),
    ],
)
def test_how_each_is(sysfs: Path, address: str, uses: tuple[str, ...], can_reset: bool) -> None:
    found = local_device(sysfs, PciDevice(address), local_facts(sysfs, ()))
    assert (found.uses, found.can_reset, found.is_local) == (uses, can_reset, True)


def test_where_disks_are_not_known_no_storage_controller_is_free(sysfs: Path) -> None:
    device = PciDevice("0000:00:17.0", class_code="010601")
    assert local_device(sysfs, device, local_facts(sysfs, ()), knows_disks=False).uses


@pytest.fixture(scope="module")
def system() -> Iterator[str]:
    with system_daemon() as uri:
        yield uri


@needs_root
async def test_this_machines_own(system: str) -> None:
    connection = LibvirtConnection(system, watch=False)
    await connection.open()
    try:
        found = await list_pci_devices(connection)
        host = await pci_host(connection)
    finally:
        await connection.close()
    assert {one.address for one in found} == {path.name for path in Path("/sys/bus/pci/devices").iterdir()}
    assert all(one.is_local and one.class_code and one.place for one in found)
    groups = any(Path("/sys/kernel/iommu_groups").glob("*"))
    assert host == PciHost(system, groups)
    for one in found:
        folder = Path("/sys/bus/pci/devices", one.address)
        assert one.driver == ((folder / "driver").resolve().name if (folder / "driver").exists() else "")


@needs_root
def test_two_of_the_systems_libvirtds_do_not_collide(system: str) -> None:
    with system_daemon() as other:
        assert other != system


async def test_a_libvirt_without_node_devices_has_none() -> None:
    connection = LibvirtConnection("test:///default", watch=False)
    await connection.open()
    try:
        assert all(isinstance(one, PciDevice) for one in await list_pci_devices(connection))
    finally:
        await connection.close()
