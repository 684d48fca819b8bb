"""Whole volumes in and out of a real pool: the same bytes, holes as holes, and nothing left when it is stopped."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.storage.volume_store import POOL, delete_volume, ensure_pool, volume_names
from qubes_manager.backend.storage.volume_streams import read_volume, upload_volume
from qubes_manager.core.errors import Cancelled, NotFound, QubesManagerError
from tests.heard_progress import HeardProgress

MIB, NAME = 1 << 20, "streamed.img"
DATA = os.urandom(MIB + 4096)


@pytest.fixture
async def pool(qemu: LibvirtConnection) -> AsyncIterator[LibvirtConnection]:
    """A connection to our pool; what a test has uploaded goes."""
    await ensure_pool(qemu)
    yield qemu
    await delete_volume(qemu, POOL, NAME)


def image(folder: Path, *pieces: bytes | int) -> Path:
    """A file of data and of holes, which are given as their numbers of bytes."""
    path = folder / "system.img"
    with path.open("wb") as file:
        for piece in pieces:
            if isinstance(piece, int):
                file.seek(piece, os.SEEK_CUR)
            else:
                file.write(piece)
        file.truncate(file.tell())
    return path


@pytest.mark.parametrize(
    "pieces",
    [
        (DATA,),
        (DATA, 9 * MIB, DATA),
        (9 * MIB, DATA),
        (DATA, 9 * MIB),
        (9 * MIB,),
        (DATA[:777], 3 * MIB - 777, DATA[:1]),
        (b"\0" * (2 * MIB), DATA),
    ],
    ids=["data", "a hole within", "a hole first", "a hole last", "nothing but a hole", "odd ends", "written zeros"],
)
async def test_a_volume_has_the_bytes_and_the_holes_of_its_image(
    pool: LibvirtConnection, tmp_path: Path, pieces: tuple[bytes | int, ...]
) -> None:
    source = image(tmp_path, *pieces)
    wanted = source.read_bytes()
    volume, digest = await upload_volume(pool, NAME, source)
    assert digest == hashlib.sha256(wanted).hexdigest()
    copy = Path(volume.path)
    assert copy.read_bytes() == wanted
    assert copy.stat().st_blocks <= source.stat().st_blocks + 16
    got = bytearray()
    assert await read_volume(pool, POOL, NAME, got.extend) == digest
    assert bytes(got) == wanted


async def test_both_ways_tell_how_far_they_are(pool: LibvirtConnection, tmp_path: Path) -> None:
    source = image(tmp_path, DATA, MIB)
    size = source.stat().st_size
    progress = HeardProgress()
    progress.step("in")
    await upload_volume(pool, NAME, source, progress=progress)
    progress.step("out")
    await read_volume(pool, POOL, NAME, lambda _data: None, progress=progress)
    for told in progress.amounts.values():
        assert told[-1] == (size, size)
        assert [done for done, _total in told] == sorted(done for done, _total in told)


async def test_a_copy_that_is_stopped_leaves_no_volume(pool: LibvirtConnection, tmp_path: Path) -> None:
    source = image(tmp_path, DATA)
    stopped = HeardProgress(stop_at="in")
    stopped.step("in")
    before = await volume_names(pool, POOL)
    with pytest.raises(Cancelled):
        await upload_volume(pool, NAME, source, progress=stopped)
    assert await volume_names(pool, POOL) == before
    await upload_volume(pool, NAME, source)
    with pytest.raises(Cancelled):
        await read_volume(pool, POOL, NAME, lambda _data: None, progress=stopped)
    # The connection serves on.
    await read_volume(pool, POOL, NAME, lambda _data: None)


async def test_what_fails_is_one_line_and_leaves_no_volume(pool: LibvirtConnection, tmp_path: Path) -> None:
    before = await volume_names(pool, POOL)
    with pytest.raises(QubesManagerError, match=r"cannot read “.*missing.img”: No such file or directory"):
        await upload_volume(pool, NAME, tmp_path / "missing.img")
    with pytest.raises(NotFound, match="the storage pool does not exist"):
        await upload_volume(pool, NAME, image(tmp_path, DATA), pool="nowhere")
    assert await volume_names(pool, POOL) == before

    def full(_data: bytes) -> None:
        raise OSError(28, "No space left on device")

    await upload_volume(pool, NAME, image(tmp_path, DATA))
    with pytest.raises(OSError, match="No space left"):
        await read_volume(pool, POOL, NAME, full)
