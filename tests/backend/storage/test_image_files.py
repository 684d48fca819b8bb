"""Image files on their way in: unpacked to the byte, stopped when asked, and found in lists of checksums."""

import gzip
import hashlib
import lzma
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage.image_files import SparseFile, checksum_from_list, convert, unpack, unpacker
from qubes_manager.backend.storage.images import Image, open_regular
from qubes_manager.backend.storage.qcow2_header import read_header
from qubes_manager.core.checksums import Checksum
from qubes_manager.core.errors import BadInput, Cancelled, NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from tests.heard_progress import HeardProgress

MIB, ROOM = 1 << 20, 1 << 40
Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-c", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS: list[Pack] = [gzip.compress, lzma.compress, zstd]
each_packer = pytest.mark.parametrize("pack", PACKERS, ids=["gzip", "xz", "zstd"])
# Data, a hole, data that ends within a block, and a hole at the end.
IMAGE = os.urandom(5000) + bytes(3 * MIB) + os.urandom(777) + bytes(MIB)


def packed(folder: Path, data: bytes) -> Path:
    path = folder / "system.img.packed"
    path.write_bytes(data)
    return path


def unpacked(
    source: Path, target: Path, checksum: str = "", limit: int = ROOM, progress: Progress = SILENT, room: int = ROOM
) -> str:
    """Unpack a file; returns the checksum that it was found to have."""
    heard = Checksum(checksum)
    with open_regular(source) as file, target.open("w+b") as made:
        unpack(file, SparseFile(made, source.name, room, limit), heard, progress)
    return heard.require(source.name)


def is_packed(path: Path) -> bool:
    with open_regular(path) as file:
        return bool(unpacker(file))


@each_packer
def test_what_is_unpacked_is_the_same_to_the_byte_with_zeros_as_holes(tmp_path: Path, pack: Pack) -> None:
    source, plain = packed(tmp_path, pack(IMAGE)), tmp_path / "system.img"
    assert is_packed(source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert unpacked(source, plain, digest) == f"sha256:{digest}"
    assert plain.read_bytes() == IMAGE
    assert plain.stat().st_blocks * 512 < MIB
    assert not is_packed(plain)


@each_packer
def test_what_is_packed_in_several_parts_is_unpacked_whole(tmp_path: Path, pack: Pack) -> None:
    source, plain = packed(tmp_path, pack(IMAGE) + pack(b"") + pack(b"the end")), tmp_path / "system.img"
    unpacked(source, plain)
    assert plain.read_bytes() == IMAGE + b"the end"


@each_packer
@pytest.mark.parametrize(
    "harm",
    [lambda data: data[:-3], lambda data: data[: len(data) // 2], lambda data: data[:2000] + b"\0" * 99 + data[2099:]],
    ids=["end missing", "half missing", "bytes changed"],
)
def test_a_damaged_file_is_refused(tmp_path: Path, pack: Pack, harm: Pack) -> None:
    source = packed(tmp_path, harm(pack(IMAGE)))
    with pytest.raises(Refused, match=r"“system\.img\.packed” is damaged: "):
        unpacked(source, tmp_path / "system.img")


def test_unpacking_tells_how_much_of_the_packed_file_is_read_and_stops_when_asked(tmp_path: Path) -> None:
    source, plain = packed(tmp_path, gzip.compress(b"x" * (3 * MIB))), tmp_path / "system.img"
    size = source.stat().st_size
    progress = HeardProgress()
    progress.step("Unpacking")
    unpacked(source, plain, progress=progress)
    assert plain.stat().st_size == 3 * MIB
    assert progress.amounts["Unpacking"][-1] == (size, size)
    stopped = HeardProgress(stop_at="Unpacking")
    stopped.step("Unpacking")
    with pytest.raises(Cancelled):
        unpacked(source, tmp_path / "other.img", progress=stopped)


BOMBS = {
    "gzip": ["gzip", "-c"],
    "xz": ["xz", "-c", "-0"],
    "zstd": ["zstd", "-c", "-q", "-19"],
}


@pytest.mark.parametrize("tool", BOMBS)
def test_a_bomb_ends_at_its_limit_and_takes_no_room(tmp_path: Path, tool: str) -> None:
    zeros = subprocess.Popen(["head", "-c", str(256 * MIB), "/dev/zero"], stdout=subprocess.PIPE)
    bomb = packed(tmp_path, subprocess.run(BOMBS[tool], stdin=zeros.stdout, stdout=subprocess.PIPE, check=True).stdout)
    zeros.wait()
    plain = tmp_path / "plain"
    with pytest.raises(Refused, match=r"“system\.img\.packed” has more than 100 MiB in it"):
        unpacked(bomb, plain, limit=100 * MIB)
    assert plain.stat().st_blocks * 512 < MIB
    unpacked(bomb, plain, limit=256 * MIB)
    assert plain.stat().st_size == 256 * MIB


def test_what_is_stored_is_bounded_too(tmp_path: Path) -> None:
    source = packed(tmp_path, gzip.compress(b"x" * (3 * MIB)))
    with pytest.raises(Refused, match=r"does not fit: only 2\.0 MiB can be used for it here"):
        unpacked(source, tmp_path / "plain", room=2 * MIB)


@pytest.mark.parametrize("command", [["xz", "-c", "-9"], ["zstd", "-c", "-q", "--long=27"]], ids=["xz", "zstd"])
def test_what_asks_for_more_memory_than_it_may_have_is_refused(tmp_path: Path, command: list[str]) -> None:
    # A size that is not known beforehand makes the packers ask for all of their window.
    data = subprocess.run(command, input=IMAGE, stdout=subprocess.PIPE, check=True).stdout
    with pytest.raises(Refused, match=r"“system\.img\.packed” takes more than 64\.0 MiB of memory to unpack"):
        unpacked(packed(tmp_path, data), tmp_path / "plain")


def test_other_formats_become_qcow2(tmp_path: Path) -> None:
    raw, foreign, made = (tmp_path / name for name in ("a.img", "a.vmdk", "a.qcow2"))
    raw.write_bytes(os.urandom(4096) + bytes(MIB))
    run_tool_now(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", raw, foreign])
    image = Image("a.vmdk", "vmdk", MIB + 4096)
    progress = HeardProgress()
    progress.step("Converting")
    with open_regular(foreign) as source, made.open("x+b") as target:
        convert(source, image, target, ROOM, progress)
    assert read_header(made.read_bytes()).is_plain
    run_tool_now(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, made])
    assert progress.amounts["Converting"][-1] == (image.capacity, image.capacity)
    with open_regular(raw) as source, made.open("w+b") as target:
        with pytest.raises(QubesManagerError, match=r"“a\.vmdk” cannot be converted: Could not open 'a\.vmdk'"):
            convert(source, image, target, ROOM)
        with pytest.raises(Refused, match=r"qemu-img would have written more than 64\.0 KiB"):
            convert(source, replace(image, format="raw"), target, 1 << 16)


A, B, LONG = "a" * 64, "B" * 64, "c" * 128


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (f"{B}  other.img\n{A}  system.img\n", A),
        (f"{B} *system.img\n", B.lower()),
        (f"{LONG}  ./images/system.img\r\n", LONG),
        (f"SHA256 (system.img) = {A}\n", A),
        (f"SHA512 (path/system.img) = {LONG}", LONG),
        (f"# comment\n\n{A[:-1]}  system.img\n{A}  system.img\n", A),
        (f"{A}  my system.img\n{B}  system.img\n", B.lower()),
    ],
    ids=["GNU", "GNU binary", "with a folder", "BSD", "BSD with a folder", "not a digest", "another name's end"],
)
def test_the_checksum_of_an_image_is_found_in_its_list(tmp_path: Path, text: str, digest: str) -> None:
    sums = tmp_path / "SUMS"
    sums.write_bytes(text.encode())
    assert checksum_from_list(sums, "system.img") == digest


def test_a_list_that_cannot_help_says_why(tmp_path: Path) -> None:
    sums = tmp_path / "SHA256SUMS"
    with pytest.raises(NotFound, match=r"there is no file “.*/SHA256SUMS”"):
        checksum_from_list(sums, "system.img")
    os.mkfifo(tmp_path / "PIPE")
    with pytest.raises(Refused, match="PIPE” is not a file"):
        checksum_from_list(tmp_path / "PIPE", "system.img")
    sums.write_bytes(f"{A}  other.img\n\xff\n".encode("latin-1"))
    with pytest.raises(NotFound, match=r"“SHA256SUMS” has no checksum for “system\.img”"):
        checksum_from_list(sums, "system.img")
    with sums.open("wb") as file:
        file.truncate(5 * MIB)
    with pytest.raises(BadInput, match="less than 4 MiB"):
        checksum_from_list(sums, "system.img")
