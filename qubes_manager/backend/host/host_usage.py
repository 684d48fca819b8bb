"""What this machine does with its own block devices."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.devices import BlockDevice
from qubes_manager.core.errors import Refused
from qubes_manager.core.names import HOST_NAME

_COLUMNS = "PATH,TYPE,FSTYPE,MOUNTPOINTS,RM,RO,SIZE,MODEL,SERIAL,VENDOR"
_MEMBER_TYPES = {"LVM2_member": "LVM", "linux_raid_member": "RAID member", "zfs_member": "ZFS", "bcache": "bcache"}
_HOLDER_TYPES = {"lvm": "LVM", "crypt": "encrypted volume", "dm": "device mapper", "mpath": "multipath"}


def host_usage() -> dict[str, str]:
    """Return what each block device of this machine is used for, by path; unused ones are left out. Blocks.

    Built on lsblk (util-linux). Raises NotFound, QubesManagerError.
    """
    return {node["path"]: use for node in _lsblk() if (use := _use(node))}


def local_device(path: str) -> BlockDevice | None:
    """Return a block device of this machine by its path or a link to it; None where there is none. Blocks.

    It knows those that libvirt's node devices leave out: partitions, loop devices, volumes of LVM. Raises Refused for
    a loop device without a file and the like.
    """
    real = Path(path).resolve()
    if not real.is_block_device():
        return None
    node = next((node for node in _all(_lsblk()) if Path(node["path"]).resolve() == real), {})
    if not node.get("size"):
        raise Refused(f"{HOST_NAME} has {path}, but there is nothing in it")
    return BlockDevice(path, size=node["size"], read_only=bool(node.get("ro")), in_use=_use(node))


def _lsblk() -> list[dict[str, Any]]:
    answer = json.loads(run_tool_now(["lsblk", "--json", "--bytes", "--output", _COLUMNS]))
    return list(answer.get("blockdevices", ()))


def _all(nodes: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _all(node.get("children") or ())


def _use(node: dict[str, Any]) -> str:
    return ", ".join(dict.fromkeys(_uses(node, is_root=True)))


def _uses(node: dict[str, Any], *, is_root: bool = False) -> Any:
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
