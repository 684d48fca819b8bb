"""Image files on their way to a volume: checked, unpacked, converted, and nothing left in the scratch folder."""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.guests.cloud_seed import write_seed
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage import image_files
from qubes_manager.backend.storage.qcow2_header import read_header
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.services.volumes.image_import import ReadyImage, ready_image
from tests.heard_progress import HeardProgress

MIB = 1 << 20
# A boot sector with a partition is what tells a disk from any other file.
DISK = (bytes(446) + bytes.fromhex("80000101830101010100000001000000") + bytes(48) + b"\x55\xaa").ljust(MIB, b"\0")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The scratch folder, which is to be empty in the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("QUBES_MANAGER_SCRATCH", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def write(folder: Path, name: str, data: bytes = DISK) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def converted(source: Path, image_format: str) -> Path:
    target = source.with_suffix(f".{image_format}")
    run_tool_now(["qemu-img", "convert", "-f", "raw", "-O", image_format, source, target])
    return target


async def test_plain_qcow2_and_discs_are_not_touched(tmp_path: Path) -> None:
    progress = HeardProgress()
    source = converted(write(tmp_path, "system.img"), "qcow2")
    async with ready_image(source, progress=progress) as ready:
        assert (ready.image.capacity, ready.verified, bytes_of(ready)) == (MIB, "", source.read_bytes())
    disc = tmp_path / "disc.iso"
    write_seed(disc, "a")
    async with ready_image(disc, discs=True, progress=progress) as ready:
        assert (ready.image.is_iso, ready.path, bytes_of(ready)) == (True, disc, disc.read_bytes())
    assert progress.steps == []


def bytes_of(ready: ReadyImage) -> bytes:
    return os.pread(ready.file.fileno(), 1 << 30, 0)


@pytest.mark.parametrize(
    ("image_format", "steps"),
    [
        ("raw", ["Converting the image"]),
        ("vmdk", ["Converting the image"]),
        ("vdi", ["Converting the image"]),
        ("vhdx", ["Converting the image"]),
        ("qed", ["Converting the image"]),
        ("qcow2-v2", ["Converting the image"]),
        ("gz", ["Unpacking the image", "Converting the image"]),
    ],
)
async def test_the_rest_becomes_qcow2_and_is_called_by_the_name_that_the_user_knows(
    tmp_path: Path, image_format: str, steps: list[str]
) -> None:
    raw = write(tmp_path, "system.img")
    if image_format == "gz":
        source = write(tmp_path, "system.img.gz", gzip.compress(DISK))
    elif image_format == "qcow2-v2":
        source = tmp_path / "old.qcow2"
        run_tool_now(["qemu-img", "convert", "-O", "qcow2", "-o", "compat=0.10", raw, source])
    else:
        source = raw if image_format == "raw" else converted(raw, image_format)
    progress = HeardProgress()
    async with ready_image(source, progress=progress) as ready:
        assert (ready.image.format, ready.image.name) == ("qcow2", source.name)
        made = write(tmp_path, "made.qcow2", bytes_of(ready))
        assert read_header(made.read_bytes()).is_plain
    run_tool_now(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, made])
    assert progress.steps == steps
    assert source.exists()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_the_checksum_is_that_of_the_file_as_it_came(tmp_path: Path, algorithm: str) -> None:
    source = write(tmp_path, "system.img.gz", gzip.compress(DISK))
    digest = hashlib.new(algorithm, source.read_bytes()).hexdigest()
    async with ready_image(source, digest.upper()) as ready:
        assert ready.verified == f"{algorithm}:{digest}"


@pytest.mark.parametrize(
    ("name", "data", "checksum", "error", "reason"),
    [
        ("a.img", DISK, "0" * 64, Refused, "is not the image that the checksum belongs to: expected 0{64}, found"),
        ("a.img", DISK, "md5", BadInput, "checksum: 'md5' cannot be used"),
        ("notes.txt", b"hello\n" * 512, "", Refused, "“notes.txt” is not a disk image: it has no partition table"),
        ("odd.img", b"x" * 777, "", Refused, "“odd.img” is not a disk image"),
        ("notes.gz", gzip.compress(b"hello\n" * 512, mtime=0), "", Refused, "“notes.gz” is not a disk image"),
        ("cut.gz", gzip.compress(DISK, mtime=0)[:-9], "", Refused, "“cut.gz” is damaged"),
    ],
)
async def test_what_is_no_image_or_another_one_is_refused(
    tmp_path: Path, name: str, data: bytes, checksum: str, error: type[QubesManagerError], reason: str
) -> None:
    source = write(tmp_path, name, data)
    with pytest.raises(error, match=reason):
        async with ready_image(source, checksum):
            raise AssertionError("it was taken")


async def test_an_image_that_pulls_in_another_file_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "pulls.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", source, "1M"])
    with pytest.raises(Refused, match=r"“pulls\.qcow2” refers to another file, “/etc/hostname”"):
        async with ready_image(source):
            raise AssertionError("it was taken")
    with pytest.raises(NotFound, match="there is no file"):
        async with ready_image(tmp_path / "missing"):
            raise AssertionError("it was taken")


async def test_a_disc_that_was_packed_or_checked_is_a_file_of_its_own(tmp_path: Path) -> None:
    disc = tmp_path / "disc.iso"
    write_seed(disc, "a")
    whole = disc.read_bytes()
    checksum = hashlib.sha256(whole).hexdigest()
    packed = write(tmp_path, "disc.iso.gz", gzip.compress(whole))
    for source, text in ((disc, checksum), (packed, "")):
        async with ready_image(source, text, discs=True) as ready:
            # Whatever comes to lie there now is not what was looked at.
            source.write_bytes(b"another")
            assert (ready.path, bytes_of(ready)) == (None, whole)


async def test_the_file_that_was_opened_is_the_one_that_is_used(tmp_path: Path) -> None:
    source = converted(write(tmp_path, "system.img"), "qcow2")
    whole = source.read_bytes()
    async with ready_image(source, hashlib.sha512(whole).hexdigest()) as ready:
        write(tmp_path, "other", b"another").rename(source)
        assert bytes_of(ready) == whole
        # What somebody writes into it is for whoever copies it to find: the checksum goes with it.
        assert ready.checksum == hashlib.sha512(whole).hexdigest()


async def test_what_is_converted_is_what_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, plain = tmp_path / "old.qcow2", tmp_path / "plain"
    # Of the version that is converted; whoever has it open can write to it.
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-o", "compat=0.10", source, "1M"])
    run_tool_now(["qemu-io", "-f", "qcow2", "-c", "write -P 0x55 0 64k", source])
    place = source.read_bytes().index(b"\x55" * (64 << 10))

    def spoiling(read: Callable[..., None]) -> Callable[..., None]:
        def read_and_spoil(*words: Any) -> None:
            read(*words)
            with source.open("r+b") as file:
                file.seek(place)
                file.write(b"not what was checked")

        return read_and_spoil

    for name in ("copy", "read_through"):
        monkeypatch.setattr(image_files, name, spoiling(getattr(image_files, name)))
    async with ready_image(source, hashlib.sha256(source.read_bytes()).hexdigest()) as ready:
        run_tool_now(
            ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", f"/proc/{os.getpid()}/fd/{ready.file.fileno()}", plain]
        )
    assert plain.read_bytes() == (b"\x55" * (64 << 10)).ljust(MIB, b"\0")
