"""Image files on their way to a volume: checked, unpacked, converted, and nothing left in the scratch folder."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.services.volumes.image_import import ready_image
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


@pytest.mark.parametrize("as_qcow2", [True, False])
async def test_what_can_be_copied_as_it_is_is_not_touched(tmp_path: Path, as_qcow2: bool) -> None:
    raw = write(tmp_path, "system.img")
    source = converted(raw, "qcow2") if as_qcow2 else raw
    progress = HeardProgress()
    async with ready_image(source, "", as_qcow2=as_qcow2, progress=progress) as ready:
        assert (ready.image.path, ready.image.capacity, ready.verified) == (source, MIB, "")
    assert progress.steps == []


@pytest.mark.parametrize(
    ("image_format", "as_qcow2", "steps"),
    [
        ("raw", True, ["Converting the image"]),
        ("vmdk", False, ["Converting the image"]),
        ("vdi", True, ["Converting the image"]),
        ("gz", False, ["Unpacking the image"]),
        ("gz", True, ["Unpacking the image", "Converting the image"]),
    ],
)
async def test_the_rest_is_unpacked_and_converted_and_called_by_the_name_that_the_user_knows(
    tmp_path: Path, image_format: str, as_qcow2: bool, steps: list[str]
) -> None:
    raw = write(tmp_path, "system.img")
    if image_format == "gz":
        source = write(tmp_path, "system.img.gz", gzip.compress(DISK))
    else:
        source = raw if image_format == "raw" else converted(raw, image_format)
    progress = HeardProgress()
    async with ready_image(source, "", as_qcow2=as_qcow2, progress=progress) as ready:
        assert ready.image.format == ("raw" if steps == ["Unpacking the image"] else "qcow2")
        assert ready.image.name == source.name
        run_tool_now(["qemu-img", "compare", raw, ready.image.path])
        made = ready.image.path
    assert progress.steps == steps
    assert source.exists()
    assert not made.exists()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_the_checksum_is_that_of_the_file_as_it_came(tmp_path: Path, algorithm: str) -> None:
    source = write(tmp_path, "system.img.gz", gzip.compress(DISK))
    digest = hashlib.new(algorithm, source.read_bytes()).hexdigest()
    async with ready_image(source, digest.upper(), as_qcow2=False) as ready:
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
        async with ready_image(source, checksum, as_qcow2=True):
            raise AssertionError("it was taken")


async def test_an_image_that_pulls_in_another_file_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "pulls.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", source, "1M"])
    with pytest.raises(Refused, match=r"“pulls\.qcow2” refers to another file"):
        async with ready_image(source, "", as_qcow2=True):
            raise AssertionError("it was taken")
    with pytest.raises(NotFound, match="there is no file"):
        async with ready_image(tmp_path / "missing", "", as_qcow2=True):
            raise AssertionError("it was taken")
