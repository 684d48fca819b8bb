"""Serving a device by nbdkit, to what QEMU's own tools make of it: a real loop device, a real server in its sandbox."""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from qubes_manager.backend.host import block_server
from qubes_manager.backend.host.block_server import (
    NotWritten,
    ServedPlace,
    mark_of,
    served_place,
    serving,
    wait_until_released,
)
from qubes_manager.core.errors import Cancelled, NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.hardware import is_served
from qubes_manager.core.progress import Progress
from tests.backend.host.loops import loop_over, needs_loops
from tests.nbd.impatient import impatient
from tests.waiting import PATIENCE, soon, wait_until

_TOOLS = ("nbdkit", "bwrap", "qemu-io", "qemu-img")
real = pytest.mark.skipif(not all(map(shutil.which, _TOOLS)), reason=f"needs {', '.join(_TOOLS)}")
MIB = 1 << 20
GONE = ("true",)
FIRST_CLIENT = 3.0


@dataclass
class Stick:
    """A loop device over a file, and where it is served; *last* is the socket of the last time."""

    device: Path
    backing: Path
    place: ServedPlace
    last: str = ""

    @contextlib.asynccontextmanager
    async def served(self, *gone: str, read_only: bool = False) -> AsyncIterator[str]:
        """Serve it; gives what QEMU's tools call it."""
        socket = self.place.new_socket()
        self.last = socket.name
        async with serving(self.place, socket, str(self.device), gone or GONE, read_only=read_only):
            yield f"nbd+unix:///?socket={socket}"

    def holders(self) -> list[int]:
        """The processes that have it open."""
        found = []
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if link.readlink() == self.device:
                    found.append(int(link.parts[2]))
        return sorted(set(found))

    def keeper(self) -> int:
        """The process that keeps it."""
        for pid in self.holders():
            if b"keeper.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise AssertionError("there is no keeper")

    def is_free(self) -> bool:
        return not self.holders() and not self.place.is_served() and not list(self.place.folder.glob("*.s*"))


@pytest.fixture
def stick(tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stick]:
    programs = impatient(tmp_path / "programs", _FIRST_CLIENT=FIRST_CLIENT, _LOOK=0.2, _TELL_AGAIN=0.1)
    monkeypatch.setattr(block_server, "resources", SimpleNamespace(files=lambda _package: programs))
    backing = tmp_path / "stick"
    backing.write_bytes(b"of the stick".ljust(8 * MIB, b"\0"))
    with loop_over(backing) as device:
        stick = Stick(device, backing, served_place(shared_folder / "volumes", "usb-2-1", "Acme"))
        yield stick
        for pid in stick.holders():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not stick.holders(), "nobody has it open")


async def io(address: str, *commands: str, options: tuple[str, ...] = ()) -> str:
    """What qemu-io says of commands to a served device."""
    words = ["qemu-io", "-f", "raw", *options, *(word for command in commands for word in ("-c", command)), address]
    done = await asyncio.to_thread(
        subprocess.run, words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


class Client:
    """A qemu-io that stays."""

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(
            ["qemu-io", "-f", "raw", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    async def says(self, command: str) -> str:
        """What a command says; a write or a read says two lines, an error one."""
        return await asyncio.to_thread(self._says, command)

    def _says(self, command: str) -> str:
        stdin, stdout = self._pipes()
        stdin.write(f"{command}\n".encode())
        stdin.flush()
        line = b""
        while not re.search(rb"(ops; .*|failed: .*|rror.*)\n", line):
            piece = stdout.readline()
            assert piece, line
            line += piece
        return line.decode()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin and self._process.stdout
        return self._process.stdin, self._process.stdout

    def end(self) -> None:
        self._process.communicate(b"quit\n", timeout=PATIENCE)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


async def free(stick: Stick) -> None:
    await asyncio.to_thread(wait_until, stick.is_free, lambda: f"held by {stick.holders()}")


@needs_loops
@real
async def test_what_is_written_is_on_the_device_and_what_is_there_is_read(stick: Stick) -> None:
    async with stick.served() as address:
        client = Client(address)
        assert "read 512/512" in await client.says("read -P 0 1M 512")
        assert "wrote 65536/65536" in await client.says("write -P 0xab 1M 64k")
        assert "read 65536/65536" in await client.says("read -P 0xab 1M 64k")
        assert "verification failed" not in await client.says("read -P 0xab 1M 64k")
        said = await io(address, "length", "read 0 12", "read -v 0 512", "flush")
        assert "8 MiB" in said and "of.the.stick" in said
        client.end()
        async with soon():
            await wait_until_released(stick.place, stick.last, PATIENCE)
    assert stick.backing.read_bytes()[MIB : MIB + 65536] == b"\xab" * 65536
    await free(stick)


@needs_loops
@real
async def test_the_verdict_is_the_device_s_state_until_somebody_writes(stick: Stick) -> None:
    async with stick.served() as address:
        assert "wrote" in await io(address, "write 0 4k")
        await wait_until_released(stick.place, stick.last, PATIENCE)
    ended = stick.place.verdict(stick.last)
    assert ended
    is_written, mark = ended
    assert is_written
    assert mark == await asyncio.to_thread(mark_of, str(stick.device))
    with stick.device.open("r+b") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
    assert mark != await asyncio.to_thread(mark_of, str(stick.device))


@needs_loops
@real
async def test_what_is_needed_no_more_is_given_back(stick: Stick) -> None:
    async with stick.served() as address:
        client = Client(address)
        await client.says("write -P 1 0 4M")
        full = stick.backing.stat().st_blocks
        assert "discard 4194304/4194304" in await client.says("discard 0 4M")
        client.end()
        async with soon():
            await wait_until_released(stick.place, stick.last, PATIENCE)
    assert stick.backing.stat().st_blocks < full
    assert stick.backing.read_bytes()[: 4 * MIB] == bytes(4 * MIB)


@needs_loops
@real
async def test_nothing_is_read_or_written_beyond_the_end(stick: Stick) -> None:
    async with stick.served() as address:
        client = Client(address)
        for command in ("read 8M 512", "write 8M 512", f"read {8 * MIB - 512} 1024", f"write {8 * MIB - 512} 1024"):
            assert "rror" in await client.says(command), command
        assert "wrote 512/512" in await client.says(f"write -P 7 {8 * MIB - 512} 512")
        client.end()
    assert stick.backing.stat().st_size == 8 * MIB


@needs_loops
@real
async def test_what_is_served_to_be_read_is_not_written(stick: Stick) -> None:
    async with stick.served(read_only=True) as address:
        assert "of.the.stick" in await io(address, "read -v 0 512", options=("-r",))
    async with soon():
        await wait_until_released(stick.place, stick.last, PATIENCE)
    async with stick.served(read_only=True) as address:
        said = await io(address, "write 0 512")
        assert "wrote" not in said
    assert stick.backing.read_bytes()[:12] == b"of the stick"


@needs_loops
@real
async def test_one_client_of_two_that_goes_leaves_the_other(stick: Stick) -> None:
    async with stick.served() as address:
        first, second = Client(address), Client(address)
        await first.says("write -P 1 0 4k")
        await second.says("read -P 1 0 4k")
        first.kill()
        await asyncio.sleep(1)
        assert stick.place.is_served()
        assert "wrote" in await second.says("write -P 2 4k 4k")
        second.end()
        await wait_until_released(stick.place, stick.last, PATIENCE)
    await free(stick)


@needs_loops
@real
async def test_a_server_whose_keeper_was_killed_goes_on_and_ends_with_its_client(stick: Stick) -> None:
    async with stick.served() as address:
        client = Client(address)
        await client.says("write -P 1 0 4k")
        os.kill(stick.keeper(), signal.SIGKILL)
        await asyncio.sleep(2.5)
        assert "wrote" in await client.says("write -P 2 4k 4k")
        assert stick.place.is_served()
        client.end()
        async with soon():
            await wait_until_released(stick.place, stick.last, PATIENCE)
    assert stick.backing.read_bytes()[4096:8192] == b"\2" * 4096
    await asyncio.to_thread(wait_until, lambda: not stick.holders(), "nobody has it open")
    # The next one takes its place, and what it left.
    async with stick.served() as address:
        assert "wrote" in await io(address, "write 0 4k")
    await free(stick)


_ASKER = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from qubes_manager.backend.host import block_server

device, folder, socket, programs = sys.argv[1:]
block_server.resources = SimpleNamespace(files=lambda _package: Path(programs))

async def main():
    place = block_server.ServedPlace(Path(folder))
    async with block_server.serving(place, Path(socket), device, ("true",), read_only=False):
        print("served", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@needs_loops
@real
async def test_who_asked_and_was_killed_leaves_no_server(stick: Stick, tmp_path: Path) -> None:
    socket = stick.place.new_socket()
    words = [sys.executable, "-c", _ASKER, *map(str, (stick.device, stick.place.folder, socket, tmp_path / "programs"))]
    asker = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert asker.stdout and await asyncio.to_thread(asker.stdout.readline) == b"served\n"
    asker.kill()
    asker.communicate()
    assert stick.place.is_served()
    # Until it is clear that nobody comes.
    await free(stick)


@needs_loops
@real
async def test_where_attaching_fails_it_is_served_no_more_at_once(stick: Stick) -> None:
    with pytest.raises(ZeroDivisionError):
        async with stick.served():
            1 / 0  # noqa: B018
    assert not stick.place.is_served()
    async with soon():
        await free(stick)


@needs_loops
@real
@pytest.mark.parametrize("fails", [0, 3])
async def test_a_device_that_is_gone_is_told_until_it_is_heard(stick: Stick, tmp_path: Path, fails: int) -> None:
    told = tmp_path / "told"
    script = f'echo "$1" >> {told}; [ $(wc -l < {told}) -gt {fails} ]'
    async with stick.served("sh", "-c", script, "sh", "work gone") as address:
        client = Client(address)
        await client.says("write -P 1 0 4k")
        os.truncate(stick.backing, 0)
        subprocess.run(["losetup", "--set-capacity", stick.device], check=True)
        await asyncio.to_thread(wait_until, lambda: told.exists() and not stick.place.is_served(), "it is told")
        await asyncio.to_thread(wait_until, lambda: told.read_text() == "work gone\n" * (fails + 1), told.read_text)
        with pytest.raises(AssertionError):
            # Its server is gone.
            assert "wrote" in await client.says("write 0 4k")
        client.kill()
    assert stick.place.verdict(stick.last) == (False, "")
    with pytest.raises(NotWritten, match="the device did not take all that was written to it"):
        await wait_until_released(stick.place, stick.last, PATIENCE)
    assert stick.is_free()


@needs_loops
@real
async def test_what_is_mounted_is_not_served(stick: Stick, tmp_path: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", stick.device], check=True)
    (tmp_path / "m").mkdir()
    subprocess.run(["mount", stick.device, tmp_path / "m"], check=True)
    try:
        with pytest.raises(Refused, match=f"dom0 uses {stick.device}: unmount it there"):
            async with stick.served():
                raise AssertionError
    finally:
        subprocess.run(["umount", tmp_path / "m"], check=True)
    assert stick.is_free()


@needs_loops
@real
async def test_a_device_is_served_once_at_a_time(stick: Stick) -> None:
    async with stick.served() as address:
        client = Client(address)
        await client.says("write 0 512")
        with pytest.raises(Refused, match=f"{stick.device} is being served already: detach it where it is attached"):
            async with stick.served():
                raise AssertionError
        # Nothing became of the one that is there.
        assert "wrote" in await client.says("write 0 512")
        client.end()
    await free(stick)


@needs_loops
@real
async def test_a_lock_that_somebody_else_holds_keeps_it_from_being_served(stick: Stick) -> None:
    stick.place.folder.mkdir(parents=True)
    with stick.place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="is being served already"):
            async with stick.served():
                raise AssertionError
    async with stick.served() as address:
        assert "wrote" in await io(address, "write 0 512")
    await free(stick)


@needs_loops
@real
async def test_the_server_sees_no_files_and_no_network(stick: Stick) -> None:
    async with stick.served() as address:
        client = Client(address)
        await client.says("read 0 512")
        (server,) = [
            pid for pid in stick.holders() if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"nbdkit\0")
        ]
        seen = {path.name for path in Path(f"/proc/{server}/root").iterdir()}
        assert not seen & {"home", "root", "etc", "var", "sys", "tmp", "boot"} - {"etc"}
        assert [path.name for path in Path(f"/proc/{server}/root/etc").iterdir()] in ([], ["ld.so.cache"])
        for space in ("net", "mnt", "pid", "ipc", "user"):
            assert Path(f"/proc/{server}/ns/{space}").readlink() != Path(f"/proc/self/ns/{space}").readlink(), space
        capabilities = re.findall(r"Cap(?:Eff|Prm|Bnd):\s*(\w+)", Path(f"/proc/{server}/status").read_text())
        assert {int(number, 16) for number in capabilities} == {0}
        client.end()
    await free(stick)


@needs_loops
@real
async def test_only_its_user_comes_to_the_socket(stick: Stick) -> None:
    async with stick.served() as address:
        socket = Path(address.partition("=")[2])
        assert is_served(str(socket))
        modes = [path.stat().st_mode & 0o777 for path in (socket, stick.place.lock, stick.place.folder)]
        assert modes == [0o600, 0o600, 0o700]
        assert "wrote" in await io(address, "write 0 512")
    await free(stick)


@needs_loops
@real
async def test_root_serves_for_the_user_whose_libvirt_it_is(stick: Stick, shared_folder: Path) -> None:
    os.chown(shared_folder, 65534, 65534)
    async with stick.served() as address:
        socket = Path(address.partition("=")[2])
        assert {path.stat().st_uid for path in (socket, stick.place.lock, stick.place.folder)} == {65534}
        words = ["qemu-io", "-f", "raw", "-c", "write 0 512", address]
        done = subprocess.run(words, capture_output=True, text=True, check=False, user=65534, group=65534)
        assert "wrote" in done.stdout, done.stderr
    await free(stick)


@needs_loops
@real
async def test_root_is_led_nowhere_else_by_that_user_s_links(stick: Stick, shared_folder: Path, tmp_path: Path) -> None:
    os.chown(shared_folder, 65534, 65534)
    target = tmp_path / "roots"
    target.mkdir()
    (target / "lock").write_text("precious")
    (shared_folder / "devices").mkdir()
    stick.place.folder.symlink_to(target)
    with pytest.raises(Refused, match="cannot be used, where devices are served"):
        async with stick.served():
            raise AssertionError
    assert (target / "lock").read_text() == "precious"
    stick.place.folder.unlink()
    stick.place.folder.mkdir()
    stick.place.lock.symlink_to(target / "lock")
    with pytest.raises(Refused, match="cannot be used, where devices are served"):
        async with stick.served():
            raise AssertionError
    assert (target / "lock").read_text() == "precious"
    assert (target / "lock").stat().st_uid == 0
    assert stick.is_free()


@needs_loops
@real
async def test_what_was_left_by_servers_that_were_killed_is_cleared_up(stick: Stick) -> None:
    stick.place.folder.mkdir(parents=True)
    old = stick.place.new_socket()
    old.touch()
    (stick.place.folder / "other").touch()
    async with stick.served() as address:
        assert not old.exists()
        assert (stick.place.folder / "other").exists()
        assert "wrote" in await io(address, "write 0 512")
    await free(stick)


@needs_loops
async def test_a_server_that_does_not_start_says_why(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        block_server, "_server", lambda _plugin: ["sh", "-c", "echo 'nbdkit: error: broken' >&2; exit 1"]
    )
    with pytest.raises(QubesManagerError, match=f"{stick.device} cannot be served: nbdkit: error: broken"):
        async with stick.served():
            raise AssertionError
    await free(stick)


async def test_a_file_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = served_place(tmp_path / "volumes", "x", "y")
    if not all(map(shutil.which, ("nbdkit", "bwrap"))):
        pytest.skip("needs nbdkit and bwrap")
    with pytest.raises(Refused, match="file is no block device any more: it was taken out"):
        async with serving(place, place.new_socket(), str(tmp_path / "file"), GONE, read_only=True):
            raise AssertionError


@pytest.mark.parametrize(("tool", "package"), [("nbdkit", "nbdkit-plugin-python"), ("bwrap", "bubblewrap")])
async def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, package: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else f"/usr/bin/{name}")
    place = served_place(tmp_path / "volumes", "x", "y")
    with pytest.raises(
        NotFound, match=f"{tool} is not installed, which serves devices to domains: install .*{package}"
    ):
        async with serving(place, place.new_socket(), "/dev/none", GONE, read_only=True):
            raise AssertionError


async def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    place = served_place(tmp_path / ("x" * 100) / "volumes", "x", "y")
    with pytest.raises(Refused, match="the path is longer than a socket's may be"):
        async with serving(place, place.new_socket(), "/dev/none", GONE, read_only=True):
            raise AssertionError
    assert not place.folder.exists()


# Where devices are served.


def test_each_device_has_its_own_place_and_always_the_same(tmp_path: Path) -> None:
    places = [
        ("usb-1", "A"),
        ("usb-1", "B"),
        ("usb-2", "A"),
        ("usb-1A", ""),
        ("", "usb-1A"),
        ("\ud800"[:0] + "x" * 9999, ""),
    ]
    found = [served_place(tmp_path / "volumes", *one) for one in places]
    assert len({place.folder for place in found}) == len(places)
    assert found == [served_place(tmp_path / "volumes", *one) for one in places]
    for place in found:
        # No words of a device's come into a path.
        assert re.fullmatch(r"[0-9a-f]{16}", place.folder.name)
        assert place.folder.parent == tmp_path / "devices"
    assert found[0].new_socket() != found[0].new_socket()
    assert is_served(str(found[0].new_socket()))
    assert not is_served(str(found[0].lock))


def test_a_place_where_nothing_ever_was_is_not_served(tmp_path: Path) -> None:
    place = ServedPlace(tmp_path / "none")
    assert not place.is_served()
    assert place.verdict("1.socket") is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (b"ok 1 2 3\n", (True, "1 2 3")),
        (b"ok\n", (True, "")),
        (b"failed\n", (False, "")),
        (b"ok 1 2 3\n" + b" " * 100, (True, "1 2 3")),
        # Not over yet.
        (b"", None),
        (b" " * 256, None),
        (b"okay\n", (False, "")),
        (b"\xff\xfe\0", (False, "")),
        (b"x" * MIB, (False, "")),
    ],
)
def test_a_verdict_is_what_was_said_at_the_end(tmp_path: Path, text: bytes, verdict: tuple[bool, str] | None) -> None:
    place = ServedPlace(tmp_path)
    place.end_of("1.socket").write_bytes(text)
    found = place.verdict("1.socket")
    if verdict is None or not verdict[0]:
        assert (found and found[0]) == (verdict and verdict[0])
    else:
        assert found == verdict
    # Of another time nothing is said by it.
    assert place.verdict("2.socket") is None


class Stopped(Progress):
    """The user has stopped it."""

    @property
    def is_cancelled(self) -> bool:
        return True


async def test_the_end_is_waited_for_as_long_as_it_may_take(tmp_path: Path) -> None:
    place = ServedPlace(tmp_path)
    place.lock.touch()
    with place.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimedOut, match="still keeps what was written, after 0 s: do not pull it out yet"):
            await wait_until_released(place, "1.socket", 0.3)
        progress = Stopped()
        with pytest.raises(Cancelled):
            await wait_until_released(place, "1.socket", PATIENCE, progress)
        waiting = asyncio.create_task(wait_until_released(place, "1.socket", PATIENCE))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        # Somebody else may have the device by the time that this is over.
        place.end_of("1.socket").write_text("ok 1\n")
        async with soon():
            await waiting
        waiting = asyncio.create_task(wait_until_released(place, "2.socket", PATIENCE))
        await asyncio.sleep(0.2)
    # It was killed before it could say anything.
    with pytest.raises(NotWritten):
        async with soon():
            await waiting
