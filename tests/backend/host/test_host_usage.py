"""What the host itself uses."""

import json
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host import host_usage as module
from qubes_manager.core.devices import BlockDevice
from qubes_manager.core.errors import Refused


def test_every_use_of_a_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {
        "blockdevices": [
            {
                "path": "/dev/sda",
                "type": "disk",
                "mountpoints": [None],
                "children": [
                    {"path": "/dev/sda1", "type": "part", "mountpoints": ["/boot"]},
                    {"path": "/dev/sda2", "type": "part", "mountpoints": ["[SWAP]"]},
                    {
                        "path": "/dev/sda3",
                        "type": "part",
                        "fstype": "LVM2_member",
                        "mountpoints": [None],
                        "children": [{"path": "/dev/mapper/vg-root", "type": "lvm", "mountpoints": ["/"]}],
                    },
                ],
            },
            {"path": "/dev/sdb", "type": "disk", "fstype": "linux_raid_member", "mountpoints": [None]},
            {"path": "/dev/sdc", "type": "disk", "fstype": "vfat", "mountpoints": [None]},
        ]
    }
    monkeypatch.setattr(module, "run_tool_now", lambda _argv: json.dumps(tree).encode())
    assert module.host_usage() == {
        "/dev/sda": "mounted at /boot, swap, LVM, mounted at /",
        "/dev/sdb": "RAID member",
    }


def test_the_real_lsblk_gives_what_we_read() -> None:
    assert isinstance(module.host_usage(), dict)


def test_what_libvirt_does_not_list_is_found_with_its_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Partitions and the like, as lsblk tells them; which of this machine's devices there are is not ours to say.
    parts = [
        {"path": "/dev/sda1", "type": "part", "size": 5, "ro": True},
        {"path": "/dev/sda2", "type": "part", "size": 4, "mountpoints": ["/boot"]},
    ]
    tree = {"blockdevices": [{"path": "/dev/sda", "size": 9, "children": parts}]}
    monkeypatch.setattr(module, "run_tool_now", lambda _argv: json.dumps(tree).encode())
    monkeypatch.setattr(Path, "is_block_device", lambda path: str(path).startswith("/dev/sda"))
    link = tmp_path / "by-id"
    link.symlink_to("/dev/sda2")
    assert module.local_device("/dev/sda1") == BlockDevice("/dev/sda1", size=5, read_only=True)
    assert module.local_device(str(link)) == BlockDevice(str(link), size=4, in_use="mounted at /boot")
    assert module.local_device(str(tmp_path)) is None
    with pytest.raises(Refused, match="dom0 has /dev/sda7, but there is nothing in it"):
        module.local_device("/dev/sda7")
    assert module.host_usage() == {"/dev/sda": "mounted at /boot"}


def test_a_loop_device_is_there_with_its_file_and_without(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    words = ["losetup", "--find", "--show", "--read-only", str(image)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    path = made.stdout.strip()
    try:
        assert module.local_device(path) == BlockDevice(path, size=1 << 20, read_only=True)
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)
    with pytest.raises(Refused, match=f"dom0 has {path}, but there is nothing in it"):
        module.local_device(path)
