"""What this machine does with its own block devices."""

import json
from typing import Any

from qubes_manager.backend.host.host_tools import run_tool_now

_COLUMNS = "PATH,TYPE,FSTYPE,MOUNTPOINTS,RM,RO,SIZE,MODEL,SERIAL,VENDOR"
_MEMBER_TYPES = {"LVM2_member": "LVM", "linux_raid_member": "RAID member", "zfs_member": "ZFS", "bcache": "bcache"}
_HOLDER_TYPES = {"lvm": "LVM", "crypt": "encrypted volume", "dm": "device mapper", "mpath": "multipath"}


def host_usage() -> dict[str, str]:
    """Return what each block device of this machine is used for, by path; unused ones are left out. Blocks.

    Built on lsblk (util-linux). Raises NotFound, QubesManagerError.
    """
    answer = json.loads(run_tool_now(["lsblk", "--json", "--bytes", "--output", _COLUMNS]))
    return {
        node["path"]: ", ".join(dict.fromkeys(uses))
        for node in answer.get("blockdevices", ())
        if (uses := list(_uses(node, is_root=True)))
    }


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
