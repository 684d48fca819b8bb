"""The devices of this machine, and what it does with them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.host import local_disks as module
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.errors import Refused


def listed(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, Any]) -> list[BlockDevice]:
    """The devices of a machine by what lsblk says of it."""
    monkeypatch.setattr(module, "run_tool_now", lambda _argv: json.dumps({"blockdevices": nodes}).encode())
    return module.local_block_devices()


def test_every_use_of_a_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        {"path": "/dev/sda1", "type": "part", "mountpoints": ["/boot"]},
        {"path": "/dev/sda2", "type": "part", "mountpoints": ["[SWAP]"]},
        {
            "path": "/dev/sda3",
            "type": "part",
            "fstype": "LVM2_member",
            "mountpoints": [None],
            "children": [{"path": "/dev/mapper/vg-root", "type": "lvm", "mountpoints": ["/"]}],
        },
    ]
    devices = listed(
        monkeypatch,
        {"path": "/dev/sda", "type": "disk", "mountpoints": [None], "children": parts},
        {"path": "/dev/sdb", "type": "disk", "fstype": "linux_raid_member", "mountpoints": [None]},
        {"path": "/dev/sdc", "type": "disk", "fstype": "vfat", "mountpoints": [None]},
    )
    assert {device.path: device.in_use for device in devices} == {
        "/dev/sda": "mounted at /boot, swap, LVM, mounted at /",
        "/dev/sda1": "mounted at /boot",
        "/dev/sda2": "swap",
        "/dev/sda3": "LVM, mounted at /",
        "/dev/sdb": "RAID member",
        "/dev/sdc": "",
    }


def test_a_stick_is_one_device_with_its_parts_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"path": "/dev/sdb1", "type": "part", "fstype": "crypto_LUKS", "size": 1 << 30}
    stick = {"path": "/dev/sdb", "type": "disk", "tran": "usb", "vendor": "SanDisk ", "model": "Ultra", "serial": "4C"}
    whole, inside = listed(monkeypatch, {**stick, "size": 2 << 30, "hotplug": True, "children": [part]})
    assert whole.description == "“SanDisk Ultra” (2.0 GiB, USB drive, removable)"
    assert (whole.parent, whole.ident, whole.interfaces) == ("", "SanDisk_Ultra_4C", ("b******", "u08****"))
    assert (inside.parent, inside.port, inside.notes) == ("sdb", "sdb1", ("1.0 GiB", "encrypted (LUKS)"))


def test_readers_drives_and_what_is_no_device_are_called_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = listed(
        monkeypatch,
        {"path": "/dev/sde", "type": "disk", "tran": "usb", "model": "Card Reader", "size": 0},
        {"path": "/dev/sr0", "type": "rom", "model": "DVD", "size": 1 << 30, "fstype": "iso9660", "label": "Debian"},
        {"path": "/dev/sr1", "type": "rom", "model": "DVD", "size": 1073741312},
        {"path": "/dev/loop0", "type": "loop", "size": 0},
        {"path": "/dev/loop1", "type": "loop", "size": 4096, "mountpoints": ["/snap/core"]},
        {"path": "/dev/loop2", "type": "loop", "size": 4096},
        {"path": "/dev/zram0", "type": "disk", "size": 4096},
        {"path": "/dev/nbd0", "type": "disk", "size": 0},
    )
    assert {device.port: device.description for device in devices} == {
        "sde": "“Card Reader” (no medium, USB drive)",
        "sr0": "“DVD” (1.0 GiB, optical drive, iso9660 “Debian”)",
        "sr1": "“DVD” (1024 MiB, optical drive)",
        "loop2": "loop device (4.0 KiB)",
    }
    assert [device.port for device in devices if not device.media] == ["sde", "sr1"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb", ("usb-2-1", 0)),
        (
            "pci0000:00/0000:00:14.0/usb2/2-1/2-1.4/2-1.4:1.0/host6/target6:0:0/6:0:0:2/block/sdc",
            ("usb-2-1.4-slot2", 2),
        ),
        ("pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/block/sda", ("pci-0000_00_17.0-ata3", 0)),
        ("pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0/nvme0n1", ("pci-0000_03_00.0", 0)),
        ("virtual/block/loop0", ("", 0)),
    ],
)
def test_a_place_has_a_name_that_stays(path: str, place: tuple[str, int]) -> None:
    assert module.place_of(f"/sys/devices/{path}") == place


def test_the_real_lsblk_gives_what_we_read() -> None:
    assert all(device.path.startswith("/dev/") for device in module.local_block_devices())


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
    assert module.local_device("/dev/sda1") == BlockDevice(
        "/dev/sda1", "partition", size=5, read_only=True, whole="sda"
    )
    # By whatever link, it is the same device.
    boot = BlockDevice("/dev/sda2", "partition", size=4, in_use="mounted at /boot", whole="sda")
    assert module.local_device(str(link)) == boot
    assert module.local_device(str(tmp_path)) is None
    with pytest.raises(Refused, match="dom0 has /dev/sda7, but there is nothing in it"):
        module.local_device("/dev/sda7")
    assert [device.in_use for device in module.local_block_devices()] == ["mounted at /boot", "", "mounted at /boot"]


def test_a_loop_device_is_there_with_its_file_and_without(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    words = ["losetup", "--find", "--show", "--read-only", str(image)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    path = made.stdout.strip()
    try:
        assert module.local_device(path) == BlockDevice(path, "loop device", size=1 << 20, read_only=True)
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)
    with pytest.raises(Refused, match=f"dom0 has {path}, but there is nothing in it"):
        module.local_device(path)
