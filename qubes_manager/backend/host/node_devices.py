"""The host's block devices: this machine's own as it tells them itself, those of others as libvirt tells them."""

import asyncio

import libvirt
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.daemon_paths import daemon_paths, is_on_this_machine
from qubes_manager.backend.host.local_disks import local_block_devices, local_device
from qubes_manager.backend.host.node_device_texts import node_device_texts
from qubes_manager.backend.user.own_thread import in_own_thread
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.block import OPTICAL_DRIVE, BlockDevice

_KINDS = {"cdrom": OPTICAL_DRIVE, "floppy": "floppy drive"}
_IGNORED = ("/dev/loop", "/dev/ram", "/dev/zram", "/dev/nbd")


async def list_block_devices(connection: LibvirtConnection) -> list[BlockDevice]:
    """Return the host's block devices, with what the host uses them for where that can be known."""
    if await asyncio.to_thread(daemon_paths, connection.uri):
        # lsblk is ended where it does not answer, but may hang even then, in a drive that dies.
        return await in_own_thread(local_block_devices)
    return await connection.call("list the host’s block devices", _list_now)


async def find_block_device(connection: LibvirtConnection, path: str) -> BlockDevice | None:
    """Return the host's block device at *path*; of another machine only what libvirt lists there. Raises Refused."""
    listed = await list_block_devices(connection)
    if found := next((device for device in listed if device.path == path), None):
        return found
    return await in_own_thread(local_device, path) if is_on_this_machine(connection.uri) else None


def _list_now(raw: libvirt.virConnect) -> list[BlockDevice]:
    texts = node_device_texts(raw, libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_STORAGE)
    found = (device for device in map(parse_storage_device, texts) if device)
    return sorted((device for device in found if not device.path.startswith(_IGNORED)), key=lambda d: d.path)


def parse_storage_device(xml: str) -> BlockDevice | None:
    """Return the block device that a node device's XML describes, or None when it is none."""
    root = parse(xml)
    storage = root.find("capability[@type='storage']")
    path = storage.findtext("block") if storage is not None else None
    if storage is None or not path:
        return None
    removable = storage.find("capability[@type='removable']")
    size = _number(storage, "size")
    media = True
    if removable is not None:
        media = removable.findtext("media_available") == "1"
        size = size or _number(removable, "media_size")
    drive = storage.findtext("drive_type") or "disk"
    return BlockDevice(
        path=path,
        kind=_KINDS.get(drive, drive),
        bus=storage.findtext("bus") or "",
        vendor=_vendor(storage.findtext("vendor") or ""),
        model=storage.findtext("model") or "",
        serial=storage.findtext("serial") or "",
        size=size,
        removable=removable is not None or storage.find("capability[@type='hotpluggable']") is not None,
        read_only=drive == "cdrom",
        media=media,
    )


def _vendor(text: str) -> str:
    # Virtual disks give a PCI vendor number, which tells people nothing.
    return "" if text.startswith("0x") else text


def _number(element: etree._Element, name: str) -> int:
    text = element.findtext(name) or ""
    return int(text) if text.isdecimal() else 0
