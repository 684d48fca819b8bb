"""The host's USB devices: this machine's own as its kernel tells them, those of others as libvirt tells them."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import libvirt
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.backend.host.local_disks import local_block_devices
from qubes_manager.backend.host.node_device_texts import node_device_texts
from qubes_manager.backend.host.pci_devices import networks_up
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.usb import UNKNOWN, UsbDevice, drive_use, is_hub, network_use

SYSFS = Path("/sys/bus/usb/devices")
_NETWORKS = Path("/sys/class/net")
# A device's name in sysfs: its bus, and the ports on the way to it. Root hubs are usb1, usb2: parts of the machine.
_PORT = re.compile(r"\d{1,3}-\d{1,3}(?:\.\d{1,3}){0,6}")
_PLACE = re.compile(r"usb-(\d{1,3}-\d{1,3}(?:\.\d{1,3}){0,6})(?:-.*)?")
_HEX = re.compile(r"(?:0x)?([0-9a-f]{4})")
# Bytes: a device says what it likes. The kernel takes 8 configurations of 65535 bytes (USB_MAXCONFIG).
_MOST_TEXT, _MOST_DESCRIPTORS = 512, 1 << 20
# No device needs so many; of one that has more, its classes are kept.
_MOST_CODES = 256
# Types of descriptors, and of an interface's the least bytes (USB 2.0 specification, tables 9-5 and 9-12).
_INTERFACE, _INTERFACE_BYTES = 4, 9
# Says nothing of a device: its interfaces do (https://www.usb.org/defined-class-codes, base class 00h).
_BY_INTERFACE = "u000000"


async def list_usb_devices(connection: LibvirtConnection) -> list[UsbDevice]:
    """Return the host's USB devices but root hubs; none where the host, or libvirt's driver, has none.

    Of this machine with what it uses the drives and network adapters among them for, which of another one nobody says.
    """
    if await asyncio.to_thread(_is_here, connection.uri):
        return await asyncio.to_thread(local_usb_devices)
    found = await connection.call("list the host’s USB devices", _list_now)
    is_local = bool(found) and await asyncio.to_thread(_is_local, connection.uri)
    return await asyncio.to_thread(_with_local_uses, found, _NETWORKS) if is_local else with_uses(found, ())


def _is_local(uri: str) -> bool:
    return daemon_paths(uri) is not None


def _is_here(uri: str) -> bool:
    return _is_local(uri) and SYSFS.is_dir()


def local_usb_devices(sysfs: Path = SYSFS, networks: Path = _NETWORKS) -> list[UsbDevice]:
    """Return this machine's USB devices but root hubs, with what it does with drives and networks by them. Blocks.

    Raises NotFound, QubesManagerError where lsblk fails.
    """
    try:
        folders = [folder for folder in sysfs.iterdir() if _PORT.fullmatch(folder.name)]
    except OSError:
        return []
    found = [device for folder in folders if (device := _read(folder))]
    return _with_local_uses(found, networks) if found else []


def _with_local_uses(found: Iterable[UsbDevice], networks: Path) -> list[UsbDevice]:
    return with_uses(found, local_block_devices(), [(name, place.resolve()) for name, place in networks_up(networks)])


def _read(folder: Path) -> UsbDevice | None:
    """The device at a place in sysfs; None where it was unplugged meanwhile."""
    try:
        descriptors = _bytes(folder / "descriptors", _MOST_DESCRIPTORS)
        bus, number = int(_text(folder / "busnum")), int(_text(folder / "devnum"))
        vendor, product = (_HEX.fullmatch(_text(folder / name)) for name in ("idVendor", "idProduct"))
    except (OSError, ValueError):
        return None
    if not vendor or not product:
        return None
    return UsbDevice(
        folder.name,
        bus,
        number,
        vendor[1],
        product[1],
        _text_if_any(folder / "manufacturer"),
        _text_if_any(folder / "product"),
        _text_if_any(folder / "serial"),
        interface_codes(descriptors),
    )


def interface_codes(descriptors: bytes) -> tuple[str, ...]:
    """Return the codes of all interfaces that a device has in any of its configurations and settings, each once.

    *descriptors* is what it sent, one after the other: that of the device first (sysfs keeps them so). What is there
    before any driver is, and stays the same whichever driver there is. Where none is, its own class stands for it.
    """
    found = []
    start = 0
    while start + 2 <= len(descriptors):
        length, kind = descriptors[start], descriptors[start + 1]
        if length < 2:
            break  # Nothing that follows has a beginning.
        part = descriptors[start : start + length]
        if kind == _INTERFACE and len(part) >= _INTERFACE_BYTES:
            found.append(f"u{part[5:8].hex()}")
        start += length
    # Class, subclass and protocol of the device (table 9-8).
    own = f"u{descriptors[4:7].hex()}" if len(descriptors) >= 7 else _BY_INTERFACE
    codes = dict.fromkeys(found)
    if len(codes) > _MOST_CODES:
        codes = dict.fromkeys(f"{code[:3]}****" for code in codes)
    return tuple(codes) or ((own,) if own != _BY_INTERFACE else (UNKNOWN,))


def with_uses(
    devices: Iterable[UsbDevice], drives: Iterable[BlockDevice], networks: Iterable[tuple[str, Path]] = ()
) -> list[UsbDevice]:
    """Return the devices in the order of their ports, with the drives in each and what is plugged into each hub.

    *networks* are the interfaces that are up, each with the path of its device in sysfs.
    """
    found, blocks, cards = sorted(devices, key=_order), list(drives), list(networks)
    return [_with_uses(device, found, blocks, cards) for device in found]


def _with_uses(
    device: UsbDevice,
    devices: Sequence[UsbDevice],
    drives: Sequence[BlockDevice],
    networks: Sequence[tuple[str, Path]],
) -> UsbDevice:
    deeper = f"{device.port}."
    inside = []
    for drive in drives:
        place = _PLACE.fullmatch(drive.location)
        if place and f"{place[1]}.".startswith(deeper):
            inside.append(drive)
    # What is done with a partition is done with its drive.
    uses = [drive_use(drive.port, drive.in_use) for drive in inside if drive.in_use and not drive.parent]
    # Hubs on the way are in the path too.
    uses += [network_use(name) for name, place in networks if device.port in place.parts]
    behind = [other.name for other in devices if other.port.startswith(deeper)] if is_hub(device) else []
    paths = tuple(drive.path for drive in inside)
    return replace(device, in_use="; ".join(uses), behind=tuple(behind), drives=paths)


def _order(device: UsbDevice) -> list[int]:
    return [int(number) for number in re.split(r"[-.]", device.port)]


def _list_now(raw: libvirt.virConnect) -> list[UsbDevice]:
    wanted = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_INTERFACE
    roots = [parse(text) for text in node_device_texts(raw, wanted)]
    codes: dict[str, list[str]] = {}
    for root in roots:
        if code := _interface_code(root):
            codes.setdefault(root.findtext("parent") or "", []).append(code)
    return [device for root in roots if (device := _usb_device(root, codes))]


def parse_usb_device(xml: str, interfaces: Iterable[str] = ()) -> UsbDevice | None:
    """Return the USB device that a node device's XML describes; None when it is none, or a root hub.

    *interfaces* are the XML of its interfaces, which are devices of their own for libvirt.
    """
    root = parse(xml)
    codes = [code for text in interfaces if (code := _interface_code(parse(text)))]
    return _usb_device(root, {root.findtext("name") or "": codes})


def _usb_device(root: etree._Element, codes: Mapping[str, Sequence[str]]) -> UsbDevice | None:
    found = root.find("capability[@type='usb_device']")
    if found is None:
        return None
    port = (root.findtext("path") or "").rpartition("/")[2]
    bus, number = (found.findtext(name) or "" for name in ("bus", "device"))
    vendor, product = (_HEX.fullmatch(_attribute(found, name)) for name in ("vendor", "product"))
    if not (_PORT.fullmatch(port) and vendor and product) or not (_is_number(bus) and _is_number(number)):
        return None
    maker, model = ((found.findtext(name) or "")[:_MOST_TEXT] for name in ("vendor", "product"))
    # libvirt lists them in an order that is another one each time; a device's ident is to stay.
    known = tuple(sorted(set(codes.get(root.findtext("name") or "", ()))))
    return UsbDevice(port, int(bus), int(number), vendor[1], product[1], maker, model, interfaces=known or (UNKNOWN,))


def _interface_code(root: etree._Element) -> str:
    found = root.find("capability[@type='usb']")
    if found is None:
        return ""
    parts = [found.findtext(name) or "" for name in ("class", "subclass", "protocol")]
    return f"u{''.join(f'{int(part) & 0xFF:02x}' for part in parts)}" if all(map(_is_number, parts)) else ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def _attribute(found: etree._Element, name: str) -> str:
    element = found.find(name)
    return element.get("id", "") if element is not None else ""


def _bytes(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def _text(path: Path) -> str:
    return _bytes(path, _MOST_TEXT).decode("utf-8", "replace").strip()


def _text_if_any(path: Path) -> str:
    try:
        return _text(path)
    except OSError:
        return ""
