"""Opening a block device for one user of it alone."""

import asyncio
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host import block_opening, udisks
from qubes_manager.backend.host.block_opening import open_block_device
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from tests.backend.host.loops import loop_over, needs_loops
from tests.waiting import soon, until

MIB = 1 << 20
PATH = "/dev/sdz"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "stick").write_bytes(b"of the stick".ljust(MIB, b"\0"))
    with loop_over(tmp_path / "stick") as device:
        yield device


@needs_loops
async def test_what_the_user_may_open_is_opened(stick: Path) -> None:
    for read_only, mode in ((True, os.O_RDONLY), (False, os.O_RDWR)):
        file = await open_block_device(str(stick), read_only=read_only)
        assert os.pread(file, 12, 0) == b"of the stick"
        assert fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == mode
        assert not os.get_inheritable(file)
        os.close(file)


@needs_loops
async def test_one_has_it_alone(stick: Path) -> None:
    file = await open_block_device(str(stick), read_only=True)
    with pytest.raises(Refused, match=f"dom0 uses {stick}: unmount it there, or close what has it open, and try again"):
        await open_block_device(str(stick), read_only=True)
    mounted = subprocess.run(["mount", stick, "/mnt"], capture_output=True, text=True, check=False)
    assert mounted.returncode, "what is open is not mounted"
    os.close(file)
    os.close(await open_block_device(str(stick), read_only=True))


@needs_loops
async def test_who_looks_at_it_for_a_moment_is_waited_for(stick: Path) -> None:
    held = os.open(stick, os.O_RDONLY | os.O_EXCL)
    opening = asyncio.create_task(open_block_device(str(stick), read_only=True))
    await asyncio.sleep(0.2)
    assert not opening.done()
    os.close(held)
    async with soon():
        os.close(await opening)


@needs_loops
async def test_what_is_mounted_is_refused(stick: Path, tmp_path: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", stick], check=True)
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", stick, place], check=True)
    try:
        for read_only in (True, False):
            with pytest.raises(Refused, match=f"dom0 uses {stick}: unmount it there"):
                await open_block_device(str(stick), read_only=read_only)
    finally:
        subprocess.run(["umount", place], check=True)
    os.close(await open_block_device(str(stick), read_only=False))


# What each QEMU holds while it has an image open, and looks for before (docs/system/qemu-block-drivers, “Disk image
# file locking”): the bytes from 100 say what it does, those from 200 what it lets nobody else do.
_QEMU = [
    sys.executable,
    "-c",
    """
import fcntl, struct, sys
file = open(sys.argv[1], "r+b")
for byte in map(int, sys.argv[2:]):
    fcntl.fcntl(file, 37, struct.pack("hhqqi0q", fcntl.F_RDLCK, 0, byte, 1, 0))
print("has it", flush=True)
sys.stdin.read()
""",
]


@needs_loops
@pytest.mark.parametrize(("byte", "is_refused"), [(100, True), (101, True), (201, True), (203, True), (50, False)])
@pytest.mark.parametrize("read_only", [True, False])
async def test_what_another_qemu_has_open_is_refused(stick: Path, byte: int, is_refused: bool, read_only: bool) -> None:
    qemu = subprocess.Popen([*_QEMU, stick, str(byte)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert qemu.stdout and qemu.stdout.readline() == b"has it\n"
    before = len(list(Path("/proc/self/fd").iterdir()))
    try:
        if is_refused:
            with pytest.raises(Refused, match=f"{stick}: another virtual machine of dom0 has it open: detach it there"):
                await open_block_device(str(stick), read_only=read_only)
        else:
            os.close(await open_block_device(str(stick), read_only=read_only))
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        qemu.communicate()


@needs_loops
@pytest.mark.skipif(not shutil.which("qemu-io"), reason="QEMU is not installed")
async def test_a_qemu_does_not_open_what_is_served(stick: Path) -> None:
    words = ["qemu-io", "-f", "raw", "-c", "write 0 512", str(stick)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    file = await open_block_device(str(stick), read_only=False)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Failed to get" in done.stderr + done.stdout
    os.close(file)
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


async def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"the host has no block device .*/none: it was taken out"):
        await open_block_device(str(tmp_path / "none"), read_only=True)


def failing(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], int]) -> list[str]:
    """Let PATH be opened as *answer* does; returns what is opened."""
    real, tried = os.open, []

    def opened(path: str, flags: int, *rest: object, **more: object) -> int:
        if path != PATH:
            return real(path, flags, *rest, **more)  # type: ignore[arg-type]
        tried.append(path)
        return answer()

    monkeypatch.setattr(os, "open", opened)
    return tried


@pytest.mark.parametrize(
    ("number", "kind", "reason"),
    [
        (errno.EROFS, Refused, "/dev/sdz can only be read: attach it read-only"),
        (errno.ENOMEDIUM, Refused, "there is nothing in /dev/sdz: put a disc or card in and try again"),
        (errno.ENXIO, NotFound, "the host has no block device /dev/sdz: it was taken out"),
        (errno.ENODEV, NotFound, "the host has no block device /dev/sdz: it was taken out"),
        (errno.EIO, QubesManagerError, "/dev/sdz cannot be opened: Input/output error"),
    ],
)
async def test_what_does_not_go_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[QubesManagerError], reason: str
) -> None:
    def fail() -> int:
        raise OSError(number, os.strerror(number))

    tried = failing(monkeypatch, fail)
    with pytest.raises(kind, match=reason) as caught:
        await open_block_device(PATH, read_only=False)
    assert type(caught.value) is kind
    assert len(tried) == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("read_only", [True, False])
async def test_what_root_alone_may_open_udisks_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, read_only: bool
) -> None:
    (tmp_path / "disk").touch()
    given = os.open(tmp_path / "disk", os.O_RDWR)
    asked: list[tuple[str, int, float, bool]] = []

    async def opened(path: str, flags: int, patience: float, *, read_only: bool) -> int:
        asked.append((path, flags, patience, read_only))
        return given

    def fail() -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(udisks, "open_by_udisks", opened)
    failing(monkeypatch, fail)
    assert await open_block_device(PATH, read_only=read_only) == given
    os.close(given)
    ((path, flags, patience, read),) = asked
    assert (path, read, flags & os.O_EXCL) == (PATH, read_only, os.O_EXCL)
    # Long enough for a password.
    assert patience >= 60


async def test_a_device_that_hangs_is_not_waited_for_and_closed_when_it_comes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(block_opening, "_PATIENCE", 0.2)
    goes_on = threading.Event()
    came: list[int] = []
    (tmp_path / "late").touch()

    def hang() -> int:
        goes_on.wait(60)
        came.append(os.dup(0))
        assert Path(f"/proc/self/fd/{came[0]}").exists()
        return came[0]

    failing(monkeypatch, hang)
    with pytest.raises(TimedOut, match="/dev/sdz does not answer: pull it out and put it in again"):
        await open_block_device(PATH, read_only=True)
    goes_on.set()
    await until(lambda: came and not Path(f"/proc/self/fd/{came[0]}").exists())
