"""Devices as hosts tell them, for tests of what shows them."""

from dataclasses import replace

from qubes_manager.core.devices.block import IMAGE, OPTICAL_DRIVE, PARTITION, BlockDevice
from qubes_manager.core.devices.microphone import Microphone
from qubes_manager.core.devices.pci import PciDevice
from qubes_manager.core.devices.usb import UsbDevice
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.hardware import Disk
from qubes_manager.core.labels import LABELS
from qubes_manager.services.devices.kind import Holder

URI = "qemu:///session"


def guest(name: str, label: str = "blue", state: DomainState = DomainState.RUNNING, **config: object) -> Domain:
    ordinary = DomainConfig(label=LABELS[label])
    return Domain(DomainKey(URI, name), name, state, id=1, config=replace(ordinary, **config))  # type: ignore[arg-type]


STICK_DISK = Disk("sda", "usb", source="/dev/sdb")
WORK, UNTRUSTED = guest("work"), guest("untrusted", "red", disks=(STICK_DISK,))
# Never gets keyboards, mice and the like.
BANK = guest("bank", "green", devices_denied=("u03****",))
VAULT = guest("vault", "black", DomainState.HALTED)

STICK = BlockDevice(
    "/dev/sdb", bus="usb", vendor="SanDisk", model="Ultra", serial="4C53", size=int(28.7 * 2**30), place="usb-2-1"
)
PART = replace(
    STICK,
    path="/dev/sdb1",
    kind=PARTITION,
    whole="sdb",
    partition=1,
    filesystem="vfat",
    label="HOLIDAY",
    place="usb-2-1-part1",
)
USB_STICK = UsbDevice("2-1", 2, 4, "0781", "5581", "SanDisk", "Ultra", "4C53", ("u080650",))
SYSTEM = BlockDevice("/dev/nvme0n1", model="Samsung SSD", size=10**12, in_use="mounted at /", place="pci-0000_01_00.0")
DISC = BlockDevice("/dev/sr0", kind=OPTICAL_DRIVE, vendor="HL", model="DVD", size=700 << 20, read_only=True)
KEYBOARD = UsbDevice("1-4", 1, 5, "046d", "c31c", "Logitech", "USB Keyboard", "", ("u030101", "u030000"))
CAMERA = UsbDevice("1-6", 1, 3, "04f2", "b5a7", "Chicony", "Camera", "", ("u0e0100", "u0e0200"))
CARD = PciDevice("0000:02:00.0", "020000", "10ec", "8168", "Realtek", "RTL8111", place="00_1c.0-00_00.0")
MICROPHONE = Microphone("Built-in Audio")
ISO = BlockDevice("/home/u/debian.iso", kind=IMAGE)

HELD = Holder(UNTRUSTED, "sda")
