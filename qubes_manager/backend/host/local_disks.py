"""The block devices of this machine, with their parts, what they say of themselves and what the machine does with them.

Built on lsblk (util-linux), which knows what libvirt's node devices do not: partitions, loop devices, mounts, and what
is on a device; and on the places that sysfs has for devices, whose names stay as long as nobody moves the plug.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.devices.block import OPTICAL_DRIVE, PARTITION, BlockDevice
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.names import HOST_NAME

_COLUMNS = "PATH,KNAME,TYPE,TRAN,VENDOR,MODEL,SERIAL,FSTYPE,LABEL,MOUNTPOINTS,RM,HOTPLUG,RO,SIZE"
_MEMBER_TYPES = {"LVM2_member": "LVM", "linux_raid_member": "RAID member", "zfs_member": "ZFS", "bcache": "bcache"}
_HOLDER_TYPES = {"lvm": "LVM", "crypt": "encrypted volume", "dm": "device mapper", "mpath": "multipath"}
_PART = "part"
_KINDS = {"rom": OPTICAL_DRIVE, _PART: PARTITION, "loop": "loop device", "disk": "disk"}
# What is made of other devices, or of memory; a user would not call it a device.
_LEFT_OUT = re.compile(r"/dev/(?:ram|zram|nbd|md|dm-|mapper/|fd)")
_SYSFS = Path("/sys/class/block")
# In the path that sysfs has for a device: the port of a USB device, the address of a PCI device, a SCSI address, the
# port of a SATA controller (https://docs.kernel.org/admin-guide/sysfs-rules.html).
_USB_PORT = re.compile(r"\d+-\d+(?:\.\d+)*")
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SCSI_ADDRESS = re.compile(r"\d+:\d+:\d+:(\d+)")
_ATA_PORT = re.compile(r"ata\d+")
_MAX_TEXT = 256


def local_block_devices() -> list[BlockDevice]:
    """Return this machine's block devices, each drive with its partitions below it. Blocks.

    Raises NotFound, QubesManagerError.
    """
    return [device for node in _lsblk() for device in _with_parts(node)]


def local_device(path: str) -> BlockDevice | None:
    """Return a block device of this machine by its path or a link to it; None where there is none. Blocks.

    It has its own path, whatever link led to it. All that there are are known: volumes of LVM too, which are by the bus
    that their drive is at. Raises Refused for a loop device without a file and the like.
    """
    real = Path(path).resolve()
    if not real.is_block_device():
        return None
    for top in _lsblk():
        for node in _all([top]):
            if Path(node["path"]).resolve() == real:
                if not node.get("size"):
                    break
                return _device(node) if node is top else _device(node, of=_device(top))
    raise Refused(f"{HOST_NAME} has {path}, but there is nothing in it")


def _lsblk() -> list[dict[str, Any]]:
    # All of them: a reader without a card has no size, and is there.
    words = ["lsblk", "--json", "--bytes", "--all", "--output", _COLUMNS]
    # It prints what devices say as it is: any bytes.
    text = run_tool_now(words).decode("utf-8", "replace")
    try:
        return list(json.loads(text).get("blockdevices", ()))
    except ValueError as error:
        raise QubesManagerError(f"lsblk says what is not understood: {error}") from error


def _all(nodes: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _all(node.get("children") or ())


def _with_parts(node: dict[str, Any]) -> Iterator[BlockDevice]:
    whole = _device(node)
    is_loop = node.get("type") == "loop"
    # Package managers mount dozens of loop devices; one without a file is none.
    if _LEFT_OUT.match(whole.path) or (is_loop and (not whole.size or whole.in_use)):
        return
    yield whole
    for child in node.get("children") or ():
        if child.get("type") == _PART:
            yield _device(child, of=whole)


def _device(node: dict[str, Any], *, of: BlockDevice | None = None) -> BlockDevice:
    """A device by what lsblk says of it; what is made *of* another is at its bus, and a partition calls itself so."""
    kind = node.get("type") or ""
    is_part = kind == _PART
    size = int(node.get("size") or 0)
    sysfs = _SYSFS / Path(_text(node, "kname") or _text(node, "path")).name
    location, slot = place_of(str(sysfs.resolve()))
    number = _partition(sysfs) if is_part else 0
    of_drive = of if is_part else None
    return BlockDevice(
        path=_text(node, "path"),
        kind=_KINDS.get(kind, kind or "disk"),
        bus=of.bus if of else _text(node, "tran"),
        vendor=of_drive.vendor if of_drive else _vendor(_text(node, "vendor")),
        model=of_drive.model if of_drive else _text(node, "model"),
        serial=of_drive.serial if of_drive else _text(node, "serial"),
        size=size,
        removable=of.removable if of else bool(node.get("rm") or node.get("hotplug")),
        read_only=bool(node.get("ro")) or kind == "rom",
        # An empty optical drive has the size of the largest disc, or none at all.
        media=bool(size) and (kind != "rom" or bool(_text(node, "fstype"))),
        in_use=_use(node),
        whole=of_drive.port if of_drive else "",
        partition=number,
        slot=slot,
        place=f"{location}-part{number}" if location and number else location,
        filesystem=_text(node, "fstype"),
        label=_text(node, "label"),
    )


def _text(node: dict[str, Any], name: str) -> str:
    # A device says of itself what it likes, at what length it likes.
    return str(node.get(name) or "")[:_MAX_TEXT].strip()


def _vendor(text: str) -> str:
    # Virtual disks give a PCI vendor number, and SATA has the name of the bus: neither tells people anything.
    return "" if text.startswith("0x") or text == "ATA" else text


def _partition(sysfs: Path) -> int:
    try:
        return int((sysfs / "partition").read_text())
    except (OSError, ValueError):
        return 0


def place_of(path: str) -> tuple[str, int]:
    """Return where the device at a path in sysfs is, by a name that stays, and the number of its slot there.

    Empty where nothing of its path stays: a loop device, which is wherever its file is.
    """
    parts = path.split("/")
    slots = [int(found[1]) for part in parts if (found := _SCSI_ADDRESS.fullmatch(part))]
    slot = slots[-1] if slots else 0
    for prefix, pattern in (("usb", _USB_PORT), ("pci", _PCI_ADDRESS)):
        names = [part for part in parts if pattern.fullmatch(part)]
        if not names:
            continue
        ports = [part for part in parts if _ATA_PORT.fullmatch(part)] if prefix == "pci" else []
        words = [prefix, names[-1].replace(":", "_"), *ports[-1:], *([f"slot{slot}"] if slot else [])]
        return "-".join(words), slot
    return "", slot


def _use(node: dict[str, Any]) -> str:
    return ", ".join(dict.fromkeys(_uses(node, is_root=True)))


def _uses(node: dict[str, Any], *, is_root: bool = False) -> Iterator[str]:
    for place in node.get("mountpoints") or ():
        if place == "[SWAP]":
            yield "swap"
        elif place:
            yield f"mounted at {place}"
    if kind := _MEMBER_TYPES.get(node.get("fstype") or ""):
        yield kind
    kind = node.get("type") or ""
    if not is_root:
        if kind.startswith("raid"):
            yield "RAID member"
        elif kind in _HOLDER_TYPES:
            yield _HOLDER_TYPES[kind]
    for child in node.get("children") or ():
        yield from _uses(child)
