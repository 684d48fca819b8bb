"""What nbdkit asks of a device, over a file; the real nbdkit over a real device is in test_block_server.py."""

import errno
import fcntl
import os
import struct
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KIB = 1 << 10


class Nbdkit(types.ModuleType):
    """What a plugin finds in nbdkit's own Python."""

    THREAD_MODEL_PARALLEL = 3

    def __init__(self) -> None:
        super().__init__("nbdkit")
        self.errors: list[int] = []

    def set_error(self, number: int) -> None:
        self.errors.append(number)


@pytest.fixture
def nbdkit(monkeypatch: pytest.MonkeyPatch) -> Nbdkit:
    fake = Nbdkit()
    monkeypatch.setitem(sys.modules, "nbdkit", fake)
    return fake


@pytest.fixture
def plugin(nbdkit: Nbdkit, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delitem(sys.modules, "qubes_manager.nbd.plugin", raising=False)
    import qubes_manager.nbd.plugin as found

    yield found
    sys.modules.pop("qubes_manager.nbd.plugin", None)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "device"
    path.write_bytes(bytes(range(256)) * 256)
    file = os.open(path, os.O_RDWR)
    yield file
    os.close(file)


@pytest.fixture
def told() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for file in (reading, writing):
        os.close(file)


def test_who_keeps_it_hears_of_the_start_and_of_each_client(plugin: Any, device: int, told: tuple[int, int]) -> None:
    plugin.config("device", str(device))
    plugin.config("told", str(told[1]))
    plugin.config("end", str(device))
    plugin.get_ready()
    assert plugin.open(False) == device
    assert plugin.open(True) == device
    plugin.close(device)
    assert os.read(told[0], 100) == b"r++-"
    # The device stays open for the next client.
    os.fstat(device)


def test_a_size_is_that_of_the_device_now(plugin: Any, device: int) -> None:
    assert plugin.get_size(device) == 64 * KIB
    os.ftruncate(device, 8 * KIB)
    assert plugin.get_size(device) == 8 * KIB


def test_what_is_written_is_read(plugin: Any, device: int) -> None:
    for offset, data in ((0, b"first"), (4095, b"across a page"), (64 * KIB - 4, b"last")):
        plugin.pwrite(device, data, offset, 0)
        buffer = bytearray(len(data))
        plugin.pread(device, buffer, offset, 0)
        assert buffer == data
    plugin.flush(device, 0)
    plugin.pread(device, bytearray(0), 0, 0)
    assert plugin.get_size(device) == 64 * KIB


def test_a_request_that_is_done_in_pieces_is_done(plugin: Any, device: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write, read = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:3], at))
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: read(file, [buffers[0][:2]], at))
    plugin.pwrite(device, b"piece by piece", 100, 0)
    buffer = bytearray(14)
    plugin.pread(device, buffer, 100, 0)
    assert buffer == b"piece by piece"


@pytest.mark.parametrize(("offset", "count"), [(64 * KIB, 1), (64 * KIB - 1, 2), (1 << 40, 512)])
def test_beyond_the_end_there_is_an_error_and_no_end(
    plugin: Any, nbdkit: Nbdkit, device: int, offset: int, count: int
) -> None:
    with pytest.raises(OSError, match="beyond the end"):
        plugin.pread(device, bytearray(count), offset, 0)
    assert nbdkit.errors == [errno.EIO]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ENODEV, errno.EPERM])
def test_the_client_hears_of_the_devices_own_error(
    plugin: Any, nbdkit: Nbdkit, device: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_words: object) -> int:
        raise OSError(number, os.strerror(number))

    for name in ("pwrite", "preadv", "fsync"):
        monkeypatch.setattr(os, name, fail)
    monkeypatch.setattr(fcntl, "ioctl", fail)
    requests: list[Callable[[], object]] = [
        lambda: plugin.pwrite(device, b"x", 0, 0),
        lambda: plugin.pread(device, bytearray(1), 0, 0),
        lambda: plugin.flush(device, 0),
        lambda: plugin.trim(device, 512, 0, 0),
    ]
    for ask in requests:
        nbdkit.errors.clear()
        with pytest.raises(OSError, match=os.strerror(number)):
            ask()
        assert nbdkit.errors == [number]


def test_a_device_that_knows_of_no_trimming_loses_nothing(
    plugin: Any, nbdkit: Nbdkit, device: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bytes]] = []

    def ioctl(_file: int, request: int, data: bytes) -> bytes:
        asked.append((request, data))
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    plugin.trim(device, 4096, 8192, 0)
    # Where it begins, and how much (BLKDISCARD).
    assert asked == [(0x1277, struct.pack("QQ", 8192, 4096))]
    assert nbdkit.errors == []


def test_the_size_of_a_sector_is_the_least(plugin: Any, device: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for sector, wanted in ((512, (512, 4096)), (4096, (4096, 4096)), (65536, (65536, 65536))):
        monkeypatch.setattr(fcntl, "ioctl", lambda *_words, sector=sector: struct.pack("i", sector))
        assert plugin.block_size(device)[:2] == wanted
        assert plugin.block_size(device)[2] % sector == 0


def test_what_was_opened_to_be_read_is_only_read(plugin: Any, device: int, tmp_path: Path) -> None:
    reading = os.open(tmp_path / "device", os.O_RDONLY)
    assert [plugin.can_write(file) for file in (device, reading)] == [True, False]
    assert [plugin.can_trim(file) for file in (device, reading)] == [True, False]
    assert plugin.can_flush(reading) and plugin.can_multi_conn(reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        plugin.pwrite(reading, b"x", 0, 0)
    os.close(reading)


def test_requests_are_served_at_once(plugin: Any) -> None:
    assert plugin.thread_model() == Nbdkit.THREAD_MODEL_PARALLEL
    assert plugin.API_VERSION == 2


@pytest.mark.parametrize(
    ("keeper", "device", "said", "verdict"),
    [
        ("kept", "works", "has a client\ngoes on\n", ""),
        ("alone", "works", "has a client\n", "ok\n"),
        ("alone", "fails", "has a client\n", "failed\n"),
    ],
)
def test_the_last_client_ends_a_server_whose_keeper_is_gone(
    tmp_path: Path, keeper: str, device: str, said: str, verdict: str
) -> None:
    program = """
import os, signal, sys, time, types
nbdkit = types.ModuleType("nbdkit")
sys.modules["nbdkit"] = nbdkit
import qubes_manager.nbd.plugin as plugin
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
reading, writing = os.pipe()
plugin.config("told", str(writing))
plugin.config("device", str(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)))
end = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
plugin.config("end", str(end))
plugin._POLL_SECONDS = 0.1
plugin.get_ready()
device = plugin.open(False)
if sys.argv[4] == "fails":
    os.fsync = lambda _file: os.write(-1, b"")
if sys.argv[3] == "alone":
    os.close(reading)
    time.sleep(0.5)
print("has a client", flush=True)
plugin.close(device)
time.sleep(0.5 if sys.argv[3] == "kept" else 60)
print("goes on", flush=True)
"""
    words = [sys.executable, "-c", program, str(tmp_path / "device"), str(tmp_path / "end"), keeper, device]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (said, "", 0)
    # Who waits for its end reads there how it was.
    assert (tmp_path / "end").read_text() == verdict


def test_what_the_device_did_not_take_is_told_though_it_says_yes_later(
    plugin: Any, nbdkit: Nbdkit, device: int, told: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.config("told", str(told[1]))
    real = os.fsync

    def fail(_file: int) -> None:
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="lost"):
        plugin.flush(device, 0)
    monkeypatch.setattr(os, "fsync", real)
    plugin.flush(device, 0)
    assert nbdkit.errors == [errno.EIO]
    assert os.read(told[0], 10) == b"!"
