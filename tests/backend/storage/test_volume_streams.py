"""Whole volumes in and out of a real pool: the same bytes, holes as holes, and nothing left when it is stopped."""

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.storage.volume_store import POOL, delete_volume, ensure_pool, volume_names
from qubes_manager.backend.storage.volume_streams import read_volume, upload_volume
from qubes_manager.core.errors import Cancelled, NotFound, Refused, TimedOut
from qubes_manager.core.progress import Progress
from tests.heard_progress import HeardProgress
from tests.waiting import soon

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
    with pytest.raises(NotFound, match=r"there is no file “.*missing.img”"):
        await upload_volume(pool, NAME, tmp_path / "missing.img")
    with pytest.raises(NotFound, match="the host has no storage pool “nowhere”"):
        await upload_volume(pool, NAME, image(tmp_path, DATA), pool="nowhere")
    assert await volume_names(pool, POOL) == before

    def full(_data: bytes) -> None:
        raise OSError(28, "No space left on device")

    await upload_volume(pool, NAME, image(tmp_path, DATA))
    with pytest.raises(OSError, match="No space left"):
        await read_volume(pool, POOL, NAME, full)


async def test_only_what_the_volume_is_to_be_goes_into_the_pool(pool: LibvirtConnection, tmp_path: Path) -> None:
    alone, above = tmp_path / "alone.qcow2", tmp_path / "above.qcow2"
    run_tool_now(["qemu-img", "create", "-f", "qcow2", alone, "1M"])
    run_tool_now(["qemu-img", "create", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", above, "1M"])
    data, hole = image(tmp_path, DATA).rename(tmp_path / "data"), image(tmp_path, MIB)
    before = await volume_names(pool, POOL)
    for name, source, checksum, reason in (
        ("a.qcow2", above, "", "“a.qcow2” refers to another file, “/etc/hostname”"),
        ("a.qcow2", data, "", "“a.qcow2” cannot be used as qcow2: it has no qcow2 header"),
        ("a.qcow2", hole, "", "was made as qcow2, and now looks like raw"),
        ("a.img", alone, "", "“a.img” is to be raw, and the image for it is qcow2"),
        ("a.qcow2", alone, "0" * 64, "is not the image that the checksum belongs to: expected 0{64}, found"),
    ):
        with pytest.raises(Refused, match=reason):
            await upload_volume(pool, name, source, checksum=checksum)
    assert await volume_names(pool, POOL) == before


async def test_what_is_swapped_or_changed_meanwhile_is_not_what_is_stored(
    pool: LibvirtConnection, tmp_path: Path
) -> None:
    source = image(tmp_path, DATA, MIB, DATA)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    class Swaps(HeardProgress):
        """Somebody puts another file in the place of the image while it is copied."""

        def at(self, done: int, total: int = 0) -> None:
            (tmp_path / "other").write_bytes(bytes(total))
            (tmp_path / "other").replace(source)

    assert (await upload_volume(pool, NAME, source, checksum=digest, progress=Swaps()))[1] == digest
    await delete_volume(pool, POOL, NAME)
    source = image(tmp_path, DATA, MIB, DATA)

    class Writes(HeardProgress):
        """Somebody writes into the image while it is copied."""

        def at(self, done: int, total: int = 0) -> None:
            with source.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"!")

    before = await volume_names(pool, POOL)
    with pytest.raises(Refused, match="is not the image that the checksum belongs to"):
        await upload_volume(pool, NAME, source, checksum=digest, progress=Writes())
    assert await volume_names(pool, POOL) == before


class StandingStill(Progress):
    """Lets the transfer's thread stand still until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def at(self, done: int, total: int = 0) -> None:
        self.go_on.wait(30)


async def test_a_transfer_that_stands_still_is_given_up_and_leaves_nothing_when_it_goes_on(
    pool: LibvirtConnection, tmp_path: Path
) -> None:
    progress = StandingStill()
    with pytest.raises(TimedOut, match="taken nothing for 1 s"):
        await upload_volume(pool, NAME, image(tmp_path, DATA, DATA), progress=progress, standstill=1)
    progress.go_on.set()

    async with soon():
        while NAME in await volume_names(pool, POOL):
            await asyncio.sleep(0.05)
