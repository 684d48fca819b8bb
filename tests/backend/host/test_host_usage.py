"""What the host itself uses."""

import json

import pytest

from qubes_manager.backend.host import host_usage as module


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
