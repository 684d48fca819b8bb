"""Image files on their way in: unpacked to the byte, stopped when asked, and found in lists of checksums."""

import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage.image_files import checksum_from_list, convert, is_compressed, unpack
from qubes_manager.core.errors import BadInput, Cancelled, NotFound, QubesManagerError, Refused
from tests.heard_progress import HeardProgress

MIB = 1 << 20
Pack = Callable[[bytes], bytes]
PACKERS: list[Pack] = [gzip.compress, lzma.compress, zstandard.ZstdCompressor(write_checksum=True).compress]
each_packer = pytest.mark.parametrize("pack", PACKERS, ids=["gzip", "xz", "zstd"])
# Data, a hole, data that ends within a block, and a hole at the end.
IMAGE = os.urandom(5000) + bytes(3 * MIB) + os.urandom(777) + bytes(MIB)


def packed(folder: Path, data: bytes) -> Path:
    path = folder / "system.img.packed"
    path.write_bytes(data)
    return path


@each_packer
def test_what_is_unpacked_is_the_same_to_the_byte_with_zeros_as_holes(tmp_path: Path, pack: Pack) -> None:
    source, plain = packed(tmp_path, pack(IMAGE)), tmp_path / "system.img"
    assert is_compressed(source)
    unpack(source, plain)
    assert plain.read_bytes() == IMAGE
    assert plain.stat().st_blocks * 512 < MIB
    assert not is_compressed(plain)


@each_packer
def test_what_is_packed_in_several_parts_is_unpacked_whole(tmp_path: Path, pack: Pack) -> None:
    source, plain = packed(tmp_path, pack(IMAGE) + pack(b"") + pack(b"the end")), tmp_path / "system.img"
    unpack(source, plain)
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
        unpack(source, tmp_path / "system.img")


def test_unpacking_tells_how_much_of_the_packed_file_is_read_and_stops_when_asked(tmp_path: Path) -> None:
    source, plain = packed(tmp_path, gzip.compress(b"x" * (3 * MIB))), tmp_path / "system.img"
    size = source.stat().st_size
    progress = HeardProgress()
    progress.step("Unpacking")
    unpack(source, plain, progress)
    assert plain.stat().st_size == 3 * MIB
    assert progress.amounts["Unpacking"][-1] == (size, size)
    stopped = HeardProgress(stop_at="Unpacking")
    stopped.step("Unpacking")
    with pytest.raises(Cancelled):
        unpack(source, tmp_path / "other.img", stopped)


def test_other_formats_become_qcow2(tmp_path: Path) -> None:
    raw, foreign, made = (tmp_path / name for name in ("a.img", "a.vmdk", "a.qcow2"))
    raw.write_bytes(os.urandom(4096) + bytes(MIB))
    run_tool_now(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", raw, foreign])
    convert(foreign, "vmdk", made)
    assert made.read_bytes().startswith(b"QFI\xfb")
    run_tool_now(["qemu-img", "compare", raw, made])
    with pytest.raises(QubesManagerError, match="qemu-img failed"):
        convert(raw, "vmdk", made)


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
    with pytest.raises(NotFound, match=r"SHA256SUMS” cannot be read: No such file"):
        checksum_from_list(sums, "system.img")
    sums.write_bytes(f"{A}  other.img\n\xff\n".encode("latin-1"))
    with pytest.raises(NotFound, match=r"“SHA256SUMS” has no checksum for “system\.img”"):
        checksum_from_list(sums, "system.img")
    with sums.open("wb") as file:
        file.truncate(5 * MIB)
    with pytest.raises(BadInput, match="less than 4 MiB"):
        checksum_from_list(sums, "system.img")
