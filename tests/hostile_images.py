"""Images that pull in other files, or try to: of all formats, the same at each run."""

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path

from qubes_manager.backend.host.host_tools import run_tool_now

MIB = 1 << 20
_VHDX_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
_EXTENTS = {
    "monolithicFlat": 'RW 2048 FLAT "{}" 0',
    "twoGbMaxExtentFlat": 'RW 2048 FLAT "{}" 0',
    "twoGbMaxExtentSparse": 'RW 2048 SPARSE "{}"',
    "vmfs": 'RW 2048 VMFS "{}"',
    "vmfsSparse": 'RW 2048 VMFSSPARSE "{}"',
}


def references(canary: Path) -> dict[str, str]:
    """Ways to name the file *canary*, or a service, in an image that lies beside it."""
    inner = {"driver": "file", "filename": str(canary)}
    return {
        "path": str(canary),
        "relative": canary.name,
        "upwards": f"../{canary.parent.name}/{canary.name}",
        "root of the process": f"/proc/1/root{canary}",
        "descriptor": "/proc/self/fd/0",
        "file protocol": f"file:{canary}",
        "json": "json:" + json.dumps(inner),
        "json raw": "json:" + json.dumps({"driver": "raw", "file": inner}),
        "json nbd": "json:" + json.dumps({"driver": "nbd", "path": str(canary), "server.type": "unix"}),
        "nbd": f"nbd:127.0.0.1:10809:exportname={canary.name}",
        "nbd over a socket": f"nbd+unix:///x?socket={canary}",
        "http": f"http://127.0.0.1/{canary.name}",
        "ssh": f"ssh://127.0.0.1{canary}",
        "rbd": f"rbd:pool/{canary.name}",
        "iscsi": f"iscsi://127.0.0.1/{canary.name}/0",
        "nfs": f"nfs://127.0.0.1{canary}",
        "vvfat": f"fat:rw:{canary.parent}",
        "blkdebug": f"blkdebug::{canary}",
        "device": f"host_device:{canary}",
        "escapes": f"\x1b]0;{canary.name}\x07\x9b2J\u202e",
        "long": "x/" * 400 + canary.name,
    }


def write_corpus(folder: Path, canary: Path) -> dict[str, Path]:
    """Write the images; each by what is in it."""
    found: dict[str, Path] = {}
    for number, (name, data) in enumerate(_corpus(folder, canary)):
        assert name not in found
        found[name] = folder / f"image-{number}"
        found[name].write_bytes(data)
    return found


def _corpus(folder: Path, canary: Path) -> Iterator[tuple[str, bytes]]:
    plain = {kind: _created(folder, kind) for kind in ("qcow2", "qed", "vmdk", "vdi", "vhdx", "vpc")}
    old = _created(folder, "qcow2", "compat=0.10")
    for way, name in references(canary).items():
        yield f"qcow2 above {way}", _above(plain["qcow2"], name)
        if way in ("path", "json", "nbd over a socket", "escapes"):
            yield f"old qcow2 above {way}", _above(old, name)
            yield f"qcow2 with data in {way}", _with_data_file(plain["qcow2"], name)
            yield f"qed above {way}", _qed_above(plain["qed"], name, 1)
            yield f"qed above raw {way}", _qed_above(plain["qed"], name, 5)
            yield f"vmdk with a parent {way}", _vmdk(plain["vmdk"], _descriptor("monolithicSparse", "", name))
        if way in ("path", "relative", "json"):
            for kind in _EXTENTS:
                yield f"description of {kind} in {way}", _descriptor(kind, name)
            yield (
                f"vmdk that is a description of {way}",
                _vmdk(plain["vmdk"], _descriptor("monolithicFlat", name), capacity=0),
            )
            yield f"description behind a comment, {way}", b"# stick\n" + _descriptor("monolithicFlat", name)
            yield (
                f"description of a disk with a boot sector, {way}",
                _descriptor("monolithicFlat", name).ljust(510, b"\n") + b"\x55\xaa" + bytes(MIB - 512),
            )
    yield "qcow2 with data in a file without a name", _patched(plain["qcow2"], {72: struct.pack(">Q", 4)})
    yield "vdi with a link", _patched(plain["vdi"], {0x1A8: b"\1" * 16})
    yield "vdi with a parent", _patched(plain["vdi"], {0x1B8: b"\1" * 16})
    yield "vdi of differences", _patched(plain["vdi"], {0x4C: struct.pack("<I", 4)})
    yield "vhdx with a parent", _vhdx_with_parent(plain["vhdx"])
    yield "vmdk whose parent is not there", plain["vmdk"].replace(b"parentCID=ffffffff", b"parentCID=12345678")
    yield "vpc of differences", _patched(plain["vpc"], {60: struct.pack(">I", 4)})
    yield from _greedy(plain)
    for kind in ("qcow2", "qed", "vmdk", "vdi", "vhdx"):
        for seed in range(4):
            yield f"{kind} with errors, {seed}", _with_errors(plain[kind], seed)


def _greedy(plain: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Images that ask for more than there is."""
    yield "qcow2 of 8 EiB", _patched(plain["qcow2"], {24: struct.pack(">Q", (1 << 63) - 512)})
    yield "qcow2 with a table of 16 GiB", _patched(plain["qcow2"], {36: struct.pack(">I", 0x7FFFFFFF)})
    yield "vdi of many blocks", _patched(plain["vdi"], {0x170: struct.pack("<Q", 1 << 50), 0x180: b"\xff" * 4})
    yield "vmdk of many grains", _patched(plain["vmdk"], {12: struct.pack("<Q", 1 << 54)})
    yield "qed of 8 EiB", _patched(plain["qed"], {48: struct.pack("<Q", (1 << 63) - 512)})


def _created(folder: Path, kind: str, options: str = "") -> bytes:
    path = folder / "plain"
    run_tool_now(["qemu-img", "create", "-f", kind, *(["-o", options] if options else []), path, "1M"])
    data = path.read_bytes()
    path.unlink()
    return data


def _patched(data: bytes, patches: dict[int, bytes]) -> bytes:
    changed = bytearray(data)
    for place, piece in patches.items():
        changed[place : place + len(piece)] = piece
    return bytes(changed)


def _above(data: bytes, name: str) -> bytes:
    text = name.encode()
    return _patched(data, {8: struct.pack(">QI", 4096, len(text)), 4096: text})


def _with_data_file(data: bytes, name: str) -> bytes:
    text = name.encode()
    padded = text.ljust((len(text) + 7) // 8 * 8, b"\0")
    extension = struct.pack(">II", 0x44415441, len(text)) + padded + bytes(8)
    (size,) = struct.unpack_from(">I", data, 100)
    return _patched(data, {72: struct.pack(">Q", 4), size: extension})


def _qed_above(data: bytes, name: str, features: int) -> bytes:
    text = name.encode()
    return _patched(data, {16: struct.pack("<Q", features), 56: struct.pack("<II", 4096, len(text)), 4096: text})


def _descriptor(kind: str, extent: str, parent: str = "") -> bytes:
    lines = ["# Disk DescriptorFile", "version=1", "CID=12345678"]
    lines += ["parentCID=12345678", f'parentFileNameHint="{parent}"'] if parent else ["parentCID=ffffffff"]
    lines += [f'createType="{kind}"', _EXTENTS.get(kind, 'RW 2048 SPARSE "own"').format(extent)]
    return "\n".join([*lines, ""]).encode()


def _vmdk(data: bytes, descriptor: bytes, capacity: int | None = None) -> bytes:
    """A sparse VMDK with another description in it, which lies in its second sector."""
    patches = {512: descriptor.ljust(20 * 512, b"\0")}
    if capacity is not None:
        patches[12] = struct.pack("<Q", capacity)
    return _patched(data, patches)


def _vhdx_with_parent(data: bytes) -> bytes:
    entry = data.index(_VHDX_PARAMETERS)
    (offset,) = struct.unpack_from("<I", data, entry + 16)
    place = data.rindex(b"metadata", 0, entry) + offset
    return _patched(data, {place + 4: struct.pack("<I", 2)})


def _with_errors(data: bytes, seed: int) -> bytes:
    dice = random.Random(seed)
    return _patched(data, {dice.randrange(8, 1 << 10): bytes([dice.randrange(256)]) for _ in range(24)})
