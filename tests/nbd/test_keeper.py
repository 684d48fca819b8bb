"""The keeper of a served device, with a server that does what a test says; nbdkit is in test_block_server.py."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qubes_manager.nbd import keeper
from qubes_manager.nbd.keeper import READY, Presence, keep
from tests.nbd.impatient import impatient
from tests.waiting import PATIENCE, wait_until

# Stands in for nbdkit: is told by words, and says in a file what it was given.
_SERVER = """
import json, os, socket, sys, time
from pathlib import Path

words, said = sys.argv[1].split(), Path(sys.argv[2])
given = dict(word.split("=") for word in sys.argv[3:])
told = int(given["told"])
listening = socket.socket(fileno=3)
said.write_text(json.dumps({
    "pid": os.getpid(),
    "files": sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
    "device": os.readlink(f"/proc/self/fd/{given['device']}"),
    "end": os.readlink(f"/proc/self/fd/{given['end']}"),
    "listens": bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)),
}))
for word in words:
    if word.startswith("say:"):
        print(word[4:], file=sys.stderr, flush=True)
    elif word.startswith("sleep:"):
        time.sleep(float(word[6:]))
    elif word.startswith("flood:"):
        for _ in range(int(word[6:])):
            os.write(2, b"x" * 65535 + b"\\n")
    elif word == "end":
        sys.exit(1)
    elif word == "accept":
        client = listening.accept()[0]
        os.write(told, b"+")
    elif word == "drop":
        client.recv(1)
        client.close()
        os.write(told, b"-")
    else:
        os.write(told, word.encode())
time.sleep(600)
"""


def some_number() -> str:
    """The number of a block device of this machine, of which nothing but its folder in sysfs is used."""
    return min((path.name for path in Path("/sys/dev/block").iterdir()), default="")


pytestmark = pytest.mark.skipif(not some_number(), reason="there is no block device")


@dataclass
class Kept:
    """A keeper over the file *device*, whose server does as the words say."""

    folder: Path
    programs: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "a.socket"

    @property
    def said(self) -> dict[str, object]:
        return dict(json.loads((self.folder / "said").read_text()))

    def start(self, words: str, **changes: object) -> "subprocess.Popen[bytes]":
        (self.folder / "device").touch()
        device = os.open(self.folder / "device", os.O_RDWR)
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end = os.open(self.folder / "end", os.O_RDWR | os.O_CREAT)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        config = {
            "device": device,
            "lock": lock,
            "end": end,
            "folder": folder,
            "number": some_number(),
            "socket": self.socket.name,
            "server": [sys.executable, "-c", _SERVER, words, str(self.folder / "said")],
            "gone": ["sh", "-c", f'echo "told $*" > {self.folder / "gone"}', "sh"],
            **changes,
        }
        line = [sys.executable, "-IS", str(self.programs / "keeper.py"), json.dumps(config)]
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(device, lock, end, folder),
        )
        for file in (device, lock, end, folder):
            os.close(file)
        self.processes.append(process)
        return process

    def ready(self, words: str, **changes: object) -> "subprocess.Popen[bytes]":
        process = self.start(words, **changes)
        assert process.stdout
        line = process.stdout.readline()
        assert line == READY, line
        return process

    def is_locked(self) -> bool:
        with (self.folder / "lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @property
    def verdict(self) -> str:
        """What is said of the end: ok or failed, and the mark of the device."""
        return (self.folder / "end").read_text()

    def is_clean(self) -> bool:
        """Whether nothing is left of it."""
        return not self.socket.exists() and not self.is_locked() and not Path(f"/proc/{self.said['pid']}").exists()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    folder = tmp_path / "k"
    folder.mkdir()
    kept = Kept(folder, impatient(tmp_path / "programs", _FIRST_CLIENT=1.0, _START=2.0, _LOOK=0.1))
    yield kept
    for process in kept.processes:
        process.kill()
        process.communicate()
    if (folder / "said").exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(str(kept.said["pid"])), signal.SIGKILL)


def test_it_says_that_it_is_ready_and_lets_go_of_who_started_it(kept: Kept) -> None:
    process = kept.ready("r accept")
    assert process.stdout
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(kept.socket))
        # Whoever waits for the end of its output has it.
        assert process.stdout.read() == b""
        assert process.poll() is None
        assert kept.is_locked()
    assert [kept.said[name] for name in ("device", "end")] == [str(kept.folder / name) for name in ("device", "end")]
    assert kept.said["listens"]


def test_the_server_has_what_it_is_to_have_and_nothing_else(kept: Kept) -> None:
    with (kept.folder / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        kept.ready("r")
    files = kept.said["files"]
    assert isinstance(files, list)
    # Nothing, a pipe and the socket; the device, its lock, what is said at the end, and who is told.
    assert files[:4] == [0, 1, 2, 3]
    assert len(files) == 8


def test_only_its_user_may_connect(kept: Kept) -> None:
    kept.ready("r")
    status = kept.socket.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_another_user_may_connect_where_it_is_for_him(kept: Kept) -> None:
    kept.ready("r", owner=65534)
    status = kept.socket.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, 65534)


@pytest.mark.parametrize("words", ["say:first say:boom end", "sleep:0.3 say:boom end"])
def test_what_is_wrong_is_said_and_nothing_is_left(kept: Kept, words: str) -> None:
    process = kept.start(words)
    out, _ = process.communicate(timeout=PATIENCE)
    assert (out.splitlines()[-1], process.returncode) == (b"boom", 1)
    assert kept.is_clean()


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(kept: Kept) -> None:
    process = kept.start("sleep:600")
    out, _ = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (b"the server of block devices (nbdkit) does not start\n", 1)
    assert kept.is_clean()


def test_it_ends_where_nobody_comes(kept: Kept) -> None:
    begin = time.monotonic()
    process = kept.ready("r")
    process.wait(PATIENCE)
    assert time.monotonic() - begin >= 1
    assert process.returncode == 0
    assert kept.is_clean()
    assert not (kept.folder / "gone").exists()
    assert kept.verdict.startswith("ok ")


def test_the_last_client_ends_it_and_no_other(kept: Kept) -> None:
    process = kept.ready("r + + - sleep:2.5 -")
    time.sleep(2)
    # Longer than nobody is waited for.
    assert process.poll() is None
    process.wait(PATIENCE)
    assert process.returncode == 0
    assert kept.is_clean()


def test_a_client_that_came_and_went_at_once_ends_it_too(kept: Kept) -> None:
    assert kept.ready("r+-").wait(PATIENCE) == 0
    assert kept.is_clean()


def test_a_server_that_dies_ends_it(kept: Kept) -> None:
    process = kept.ready("r +")
    os.kill(int(str(kept.said["pid"])), signal.SIGKILL)
    assert process.wait(PATIENCE) == 0
    assert kept.is_clean()
    # Who has the dead disk is told, and nobody that all is written.
    assert ((kept.folder / "gone").read_text(), kept.verdict) == ("told --torn\n", "failed\n")


def test_one_that_is_told_to_end_leaves_nothing(kept: Kept) -> None:
    process = kept.ready("r")
    begin = time.monotonic()
    process.terminate()
    process.wait(PATIENCE)
    assert time.monotonic() - begin < 0.9, "it does not wait for a client"
    wait_until(kept.is_clean)


def test_one_that_is_told_to_end_lets_its_client_end_first(kept: Kept) -> None:
    process = kept.ready("r + sleep:1 -")
    process.terminate()
    time.sleep(0.5)
    assert process.poll() is None
    assert process.wait(PATIENCE) == 0
    assert kept.verdict.startswith("ok ")


@pytest.mark.parametrize("words", ["r + ! -", "r+!-", "r + !+ sleep:0.3 --"])
def test_what_the_device_did_not_take_is_said_at_the_end(kept: Kept, words: str) -> None:
    assert kept.ready(words).wait(PATIENCE) == 0
    assert kept.verdict == "failed\n"
    assert kept.is_clean()


def test_a_server_that_says_much_does_not_stand_still(kept: Kept) -> None:
    """A device that fails makes it say much; a pipe that is full would stop it."""
    process = kept.ready("r + flood:200 -")
    assert process.wait(PATIENCE) == 0


def test_a_socket_that_cannot_be_made_is_said(kept: Kept) -> None:
    process = kept.start("r", socket="nowhere/x.socket")
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"No such file or directory" in out.splitlines()[-1]
    assert not kept.is_locked()


def test_a_device_that_went_before_it_began_is_said(kept: Kept) -> None:
    process = kept.start("r", number="4095:1048575")
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"No such file or directory" in out.splitlines()[-1]
    assert not kept.is_locked()


# Whether the device is there still.


def sysfs(folder: Path, size: str) -> Path:
    place = folder / "8:16"
    place.mkdir()
    (place / "size").write_text(size)
    return place


def test_a_device_is_gone_with_its_folder(tmp_path: Path) -> None:
    place = sysfs(tmp_path, "2048\n")
    presence = Presence("8:16", str(tmp_path))
    assert not presence.is_gone()
    # Another one of that number is not it.
    place.rename(tmp_path / "old")
    sysfs(tmp_path, "4096\n")
    (tmp_path / "old/size").unlink()
    assert presence.is_gone()


def test_a_medium_is_gone_with_its_size_and_an_empty_drive_had_none(tmp_path: Path) -> None:
    place = sysfs(tmp_path, "2048\n")
    presence = Presence("8:16", str(tmp_path))
    (place / "size").write_text("0\n")
    assert presence.is_gone()
    empty = Presence("8:16", str(tmp_path))
    assert not empty.is_gone()
    (place / "size").write_text("2048\n")
    assert not empty.is_gone()


def test_another_medium_of_the_same_size_is_another_one(tmp_path: Path) -> None:
    place = sysfs(tmp_path, "2048\n")
    (place / "diskseq").write_text("7\n")
    presence = Presence("8:16", str(tmp_path))
    assert not presence.is_gone()
    (place / "diskseq").write_text("8\n")
    assert presence.is_gone()


def test_a_partition_has_the_number_of_its_drives_medium(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "diskseq").write_text("7\n")
    place = sysfs(drive, "2048\n")
    presence = Presence("8:16", str(drive))
    (drive / "diskseq").write_text("8\n")
    assert presence.is_gone()
    assert place.exists()


def test_a_mark_is_another_one_when_something_was_written_or_it_was_taken_out(tmp_path: Path) -> None:
    place = sysfs(tmp_path, "2048\n")
    marks = []
    # Reads count before writes (Documentation/block/stat.rst).
    for sequence, stat_ in (("7", "1 0 8 0 5 0 40"), ("7", "9 9 9 9 5 0 40"), ("7", "1 0 8 0 6 0 48"), ("8", "0 " * 7)):
        (place / "diskseq").write_text(f"{sequence}\n")
        (place / "stat").write_text(f"{stat_} 0 0 0 0\n")
        marks.append(Presence("8:16", str(tmp_path)).mark())
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3
    assert all(mark.isascii() and "\n" not in mark for mark in marks)


def test_a_device_that_is_not_there_is_no_presence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Presence("8:16", str(tmp_path))


class Silent:
    """A server with one client, as ``keep`` sees it."""

    def __init__(self) -> None:
        self.heard, self.told = os.pipe()
        self.errors = self.heard
        self.clients, self.had_client, self.is_over = 1, True, False
        os.set_blocking(self.heard, False)

    def said(self) -> str:
        return ""

    def count(self) -> None:
        return


def test_a_device_that_goes_while_it_is_served_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_LOOK", 0.05)
    place = sysfs(tmp_path, "2048\n")
    presence, server = Presence("8:16", str(tmp_path)), Silent()
    # The pipe for errors is another one than that for clients.
    server.errors = os.pipe()[0]
    ending = threading.Event()
    (place / "size").write_text("0\n")
    assert keep(presence, server, ending) is True  # type: ignore[arg-type]
    (place / "size").write_text("2048\n")
    server.is_over = True
    assert keep(presence, server, ending) is False  # type: ignore[arg-type]
    (place / "size").write_text("0\n")
    # One that died with the device, too.
    assert keep(presence, server, ending) is True  # type: ignore[arg-type]
