"""A host's PCI devices: as libvirt's node devices tell them, and of this machine what sysfs has besides.

https://libvirt.org/formatnode.html; https://docs.kernel.org/PCI/sysfs-pci.html.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import libvirt
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.host.local_disks import local_block_devices
from qubes_manager.backend.host.node_device_texts import node_device_texts
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.device import own_words
from qubes_manager.core.devices.pci import PciDevice, PciHost, place_of
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import one_line

_SYSFS = Path("/sys")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_USB_PORT = re.compile(r"\d+-\d+(?:\.\d+)*")
_HEXADECIMAL = re.compile(r"(?:0x)?([0-9a-f]{4}|[0-9a-f]{6})")
# An NVMe drive that may have several ways to it is at its subsystem, among virtual devices; the controllers are links
# there (drivers/nvme/host/multipath.c and core.c in the kernel).
_SUBSYSTEM, _CONTROLLER = re.compile(r"nvme-subsys\d+"), re.compile(r"nvme\d+")
_VIRTUAL = "devices/virtual"
# Block devices are made of others, those of others again: so many times.
_MOST_LAYERS = 8
_MAX_TEXT, _MAX_MEMBERS = 256, 256
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """What this machine does with what hangs on its PCI devices, by their addresses.

    *anywhere* are uses of disks whose controller is not known: it may be any.
    """

    uses: Mapping[str, tuple[str, ...]]
    carries: Mapping[str, tuple[str, ...]]
    anywhere: tuple[str, ...] = ()


async def list_pci_devices(connection: LibvirtConnection) -> list[PciDevice]:
    """Return a host's PCI devices; what its machine does with each is known of this one alone.

    Raises HostUnreachable, HostCallFailed, TimedOut.
    """
    found = await connection.call("list the host’s PCI devices", _list_now, timeout=_TIMEOUT)
    if not found or not await asyncio.to_thread(daemon_paths, connection.uri):
        return found
    return await asyncio.to_thread(_with_local_facts, found)


async def pci_host(connection: LibvirtConnection) -> PciHost:
    """Return what a host can do with PCI devices; raises HostUnreachable, HostCallFailed, TimedOut."""
    text = await connection.call("read the host’s capabilities", lambda raw: str(raw.getCapabilities()))
    return PciHost(connection.uri, parse_iommu(text))


def parse_iommu(capabilities: str) -> bool | None:
    """Whether a host has an IOMMU, by its capabilities (https://libvirt.org/formatcaps.html); None: not said."""
    element = parse(capabilities).find("host/iommu")
    return element.get("support") == "yes" if element is not None else None


def _list_now(raw: libvirt.virConnect) -> list[PciDevice]:
    texts = node_device_texts(raw, libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV)
    devices = [device for device in map(parse_pci_device, texts) if device]
    return _told_apart(sorted(devices, key=lambda device: device.address))


def _told_apart(devices: list[PciDevice]) -> list[PciDevice]:
    """Leave out places that several have, as the functions of a card that are on a bus of their own."""
    count = Counter(device.place for device in devices)
    return [replace(device, place="") if count[device.place] > 1 else device for device in devices]


def parse_pci_device(xml: str) -> PciDevice | None:
    """Return the PCI device that a node device's XML describes, or None when it is none."""
    root = parse(xml)
    device = root.find("capability[@type='pci']")
    if device is None or not (address := _address({part: device.findtext(part) for part in _PARTS})):
        return None
    group = device.find("iommuGroup")
    number = group.get("number", "") if group is not None else ""
    listed = (group.findall("address") if group is not None else [])[:_MAX_MEMBERS]
    members = [_address({name: part.get(name) for name in _PARTS}) for part in listed]
    return PciDevice(
        address,
        class_code=_code(device.findtext("class"), 6),
        vendor_id=_id(device, "vendor"),
        product_id=_id(device, "product"),
        vendor=_text(device.findtext("vendor")),
        product=_text(device.findtext("product")),
        driver=_text(root.findtext("driver/name")),
        group=int(number) if number.isdecimal() and len(number) < 10 else None,
        members=tuple(filter(None, members)),
        place=place_of(_text(root.findtext("path"), 4096)),
    )


_PARTS = ("domain", "bus", "slot", "function")


def _address(parts: Mapping[str, str | None]) -> str:
    """The address of numbers, which libvirt writes in decimal here and as 0x… there; empty where it is none."""
    try:
        domain, bus, slot, function = (int((parts.get(name) or "")[:12], 0) for name in _PARTS)
    except ValueError:
        return ""
    address = f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
    return address if _ADDRESS.fullmatch(address) else ""


def _id(device: etree._Element, name: str) -> str:
    part = device.find(name)
    return _code(part.get("id") if part is not None else "", 4)


def _code(text: str | None, digits: int) -> str:
    found = _HEXADECIMAL.fullmatch((text or "")[:12].strip().lower())
    return found[1] if found and len(found[1]) == digits else ""


def _text(text: str | None, limit: int = _MAX_TEXT) -> str:
    return (text or "")[:limit].strip()


def _with_local_facts(devices: Iterable[PciDevice]) -> list[PciDevice]:
    try:
        disks = local_block_devices()
    except QubesManagerError:
        # Without lsblk nobody knows what runs from where: no storage controller counts as free.
        disks = None
    facts = local_facts(_SYSFS, disks or ())
    return [local_device(_SYSFS, device, facts, knows_disks=disks is not None) for device in devices]


def local_device(sysfs: Path, device: PciDevice, facts: LocalFacts, *, knows_disks: bool = True) -> PciDevice:
    """Return a device of this machine with what sysfs (at *sysfs*) has of it. Blocks."""
    folder = sysfs / "bus/pci/devices" / device.address
    uses = facts.uses.get(device.address, ())
    if _read(folder / "boot_vga") == "1":
        uses = (*uses, "its console")
    if device.class_code.startswith("01"):
        uses = (*uses, *(f"perhaps for {use}, whose controller is not found" for use in facts.anywhere))
        if not knows_disks:
            uses = (*uses, "lsblk does not say which of its disks are in use")
    return replace(
        device,
        # A kernel from before 5.15 has no list of ways to reset, and the file only where it knows one.
        can_reset=bool(_read(folder / "reset_method")) or (folder / "reset").exists(),
        uses=uses,
        carries=facts.carries.get(device.address, ()),
        is_local=True,
    )


def local_facts(sysfs: Path, disks: Iterable[BlockDevice]) -> LocalFacts:
    """Return what this machine does with its PCI devices, by sysfs (at *sysfs*) and its block devices. Blocks."""
    uses: dict[str, dict[str, None]] = {}
    carries: dict[str, dict[str, None]] = {}
    anywhere: dict[str, None] = {}
    for disk in disks:
        if disk.in_use:
            # A slash in a device's name is written so in sysfs.
            name = disk.path.removeprefix("/dev/").replace("/", "!")
            words = f"{disk.port} ({disk.in_use})"
            addresses, is_known = _hangs_on(sysfs, sysfs / "class/block" / name)
            _note(uses, addresses, words)
            if not is_known:
                anywhere[words] = None
    for found, entries in ((uses, _uses(sysfs)), (carries, _carried(sysfs))):
        for place, words in entries:
            _note(found, _hangs_on(sysfs, place)[0], words)
    uses_of, carries_of = ({one: tuple(words) for one, words in found.items()} for found in (uses, carries))
    return LocalFacts(uses_of, carries_of, tuple(anywhere))


def _note(found: dict[str, dict[str, None]], addresses: Iterable[str], words: str) -> None:
    for address in addresses:
        found.setdefault(address, {})[words] = None


def _hangs_on(sysfs: Path, place: Path, layers: int = _MOST_LAYERS) -> tuple[list[str], bool]:
    """Return the addresses of what a device in sysfs hangs on, and whether that is all.

    Whatever is behind a bridge, the bridge has it too. What is made of others is where all of them are.
    """
    path = place.resolve()
    found = [part for part in path.parts if _ADDRESS.fullmatch(part)]
    if found:
        return found, True
    if path.exists() and not path.is_relative_to((sysfs / _VIRTUAL).resolve()):
        # A real device, on no PCI bus.
        return [], True
    below = [_hangs_on(sysfs, one, layers - 1) for one in _made_of(path)] if layers else []
    return [address for addresses, _ in below for address in addresses], bool(below) and all(all_ for _, all_ in below)


def _made_of(path: Path) -> Iterator[Path]:
    """What is below a virtual block device, which may be a partition of one: its controllers, or other devices."""
    for folder in (path, *path.parents[:2]):
        yield from _entries(folder / "slaves")
        if _SUBSYSTEM.fullmatch(folder.name):
            yield from (one for one in _entries(folder) if _CONTROLLER.fullmatch(one.name))


def networks_up(folder: Path) -> Iterator[tuple[str, Path]]:
    """This machine's network interfaces that are up, each with its device's place; *folder* is sysfs' list of them."""
    for card in _entries(folder):
        # Some drivers do not say whether a cable is in: these count as in use where one may be.
        if _read(card / "operstate") == "up" or _read(card / "carrier") == "1":
            yield one_line(card.name, 20), card / "device"


def _uses(sysfs: Path) -> Iterator[tuple[Path, str]]:
    for name, device in networks_up(sysfs / "class/net"):
        yield device, f"network interface {name} is up"
    for screen in _entries(sysfs / "class/drm"):
        if _read(screen / "enabled") == "enabled":
            yield screen, f"screen {one_line(screen.name.partition('-')[2], 20)} is on"


def _carried(sysfs: Path) -> Iterator[tuple[Path, str]]:
    """What a user would miss: what is plugged into USB, as it calls itself, and drives."""
    for device in _entries(sysfs / "bus/usb/devices"):
        # A hub is only the way to others; the root's own has another name.
        if _USB_PORT.fullmatch(device.name) and _read(device / "bDeviceClass") != "09":
            own = own_words(f"{_read(device / 'manufacturer')} {_read(device / 'product')}", 60)
            yield device, own or f"USB device {device.name}"
    for drive in _entries(sysfs / "class/block"):
        if (drive / "device").exists():
            yield drive, f"drive {one_line(drive.name, 20)}"


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8", "replace").strip()
    except OSError:
        return ""
