"""Keeps a block device that is served: starts the server, sees the device go, and ends with its last client.

Run by the system's Python, as a process of its own that outlives who started it: ``python3 -IS keeper.py CONFIG``, with
the configuration as JSON. It writes ``ready`` to its output when QEMU may connect, or else what is wrong. Everything
here is of the standard library.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

READY = b"ready\n"
# Seconds: until a client comes, and for a start.
_FIRST_CLIENT, _START = 60.0, 10.0
# Seconds between two looks whether the device is there.
_LOOK = 1.0
# How often, and how many seconds apart, it is told that the device is gone.
_TELLINGS, _TELL_AGAIN = 20, 15.0
_ERROR_BYTES = 4096
_PR_SET_NAME = 15
_FIRST_SOCKET, _FIRST_FREE = 3, 10


@dataclass(frozen=True)
class Config:
    """What is served. *device*, *lock*, *end* and *folder* are inherited descriptors; *number* is the device's: 8:16.

    *lock* is held as long as the device is open; *end* says how it ended.

    *socket* is the name in the folder where QEMU connects; *owner* is who may connect, where that is another user;
    *gone* is the command that is run when the device has been taken out.
    """

    device: int
    lock: int
    end: int
    folder: int
    number: str
    socket: str
    server: tuple[str, ...]
    gone: tuple[str, ...]
    owner: int = -1


class Presence:
    """Whether a device is there still: its folder in sysfs, which is gone with it, its size, and its medium."""

    def __init__(self, number: str, sysfs: str = "/sys/dev/block") -> None:
        self._folder = os.open(f"{sysfs}/{number}", os.O_RDONLY | os.O_DIRECTORY)
        self._had_size = self._number("size") > 0
        self._medium = self._sequence()

    def __del__(self) -> None:
        if (folder := getattr(self, "_folder", None)) is not None:
            os.close(folder)

    def is_gone(self) -> bool:
        """Whether it was taken out, or its medium was, or that is another one by now."""
        try:
            return (self._had_size and self._number("size") == 0) or self._sequence() != self._medium
        except OSError:
            return True

    def mark(self) -> str:
        """What is another one when somebody else has written to it, or it was taken out (sysfs: diskseq, stat)."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        written = self._text("stat").split()[6]
        return f"{boot} {self._sequence()} {written}"

    def _sequence(self) -> str:
        """The medium's number since the machine started, a partition's is its drive's; none before Linux 5.15."""
        for place in ("diskseq", "../diskseq"):
            with contextlib.suppress(FileNotFoundError):
                return self._text(place).strip()
        return ""

    def _number(self, name: str) -> int:
        return int(self._text(name) or 0)

    def _text(self, name: str) -> str:
        file = os.open(name, os.O_RDONLY, dir_fd=self._folder)
        try:
            return os.read(file, 4096).decode()
        finally:
            os.close(file)


class Server:
    """nbdkit in its sandbox, and how many clients it has."""

    def __init__(self, config: Config) -> None:
        self.clients = 0
        self.had_client = self.is_ready = self.has_failed = False
        self.heard, told = os.pipe()
        words = [*config.server, f"device={config.device}", f"told={told}", f"end={config.end}"]
        # The socket comes where sd_listen_fds(3) has the first one.
        listening = _listen(config)
        os.dup2(listening.fileno(), _FIRST_SOCKET)
        kept = (_FIRST_SOCKET, config.device, config.lock, config.end, told)
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=kept,
            # A group, to be ended as one: what runs in a sandbox is not told when its outer part is.
            start_new_session=True,
        )
        assert self._process.stderr
        self.errors = self._process.stderr.fileno()
        for file in (told, _FIRST_SOCKET):
            os.close(file)
        listening.close()
        os.set_blocking(self.heard, False)
        os.set_blocking(self.errors, False)

    def wait_until_ready(self) -> str:
        """Wait until it takes clients; returns what is wrong instead."""
        deadline, said = time.monotonic() + _START, ""
        while not self.is_ready:
            said = self.said() or said
            if self.is_over or time.monotonic() > deadline:
                return self.said() or said or "the server of block devices (nbdkit) does not start"
            time.sleep(0.02)
            self.count()
        return ""

    def said(self) -> str:
        """The end of what it said since it was asked last; a device that fails makes it say much."""
        text = b""
        while piece := _read(self.errors):
            text = (text + piece)[-_ERROR_BYTES:]
        lines = text.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def count(self) -> None:
        """Take in who came and went."""
        while piece := _read(self.heard):
            self.clients += piece.count(b"+") - piece.count(b"-")
            self.had_client = self.had_client or b"+" in piece
            self.is_ready = self.is_ready or b"r" in piece
            self.has_failed = self.has_failed or b"!" in piece

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """End it with all that belongs to it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _listen(config: Config) -> socket.socket:
    """The socket where QEMU connects."""
    listening = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        # By the folder's descriptor: the folder may be another user's, who may put others in its place.
        listening.bind(f"/proc/self/fd/{config.folder}/{config.socket}")
    finally:
        os.umask(mask)
    if config.owner >= 0:
        os.chown(config.socket, config.owner, -1, dir_fd=config.folder, follow_symlinks=False)
    listening.listen()
    return listening


def _read(file: int) -> bytes:
    try:
        return os.read(file, 1 << 16)
    except BlockingIOError:
        return b""


def keep(presence: Presence, server: Server, ending: threading.Event) -> bool:
    """Look after the server until it is needed no more; returns whether the device went away.

    Who is told to end does so when no client is left.
    """
    since = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for file in (server.heard, server.errors):
            selector.register(file, selectors.EVENT_READ)
        while not server.is_over:
            selector.select(_LOOK)
            server.said()
            server.count()
            if presence.is_gone():
                return True
            is_late = time.monotonic() - since > _FIRST_CLIENT
            if not server.clients and (server.had_client or is_late or ending.is_set()):
                break
    return presence.is_gone()


def main(argument: str) -> int:
    """Entry point."""
    # What ps says of it.
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"qubes-nbd", 0, 0, 0)
    config = _read_config(argument)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    presence = Presence(config.number)
    server = Server(config)
    is_gone = was_torn = False
    try:
        if trouble := server.wait_until_ready():
            os.write(1, trouble.encode()[:_ERROR_BYTES] + b"\n")
            return 1
        os.write(1, READY)
        _forget_output()
        is_gone = keep(presence, server, ending)
    finally:
        server.count()
        was_torn = server.is_over and server.clients > 0
        server.end()
        server.count()
        _let_go(config, presence, has_failed=server.has_failed or is_gone or was_torn)
    if is_gone or was_torn:
        _tell((*config.gone, *(() if is_gone else ("--torn",))))
    return 0


def _read_config(argument: str) -> Config:
    fields = json.loads(argument)
    # Out of the way of the socket's number, which nothing else is to have.
    for name in ("device", "lock", "end", "folder"):
        fields[name] = fcntl.fcntl(fields[name], fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.closerange(_FIRST_SOCKET, _FIRST_FREE)
    os.dup2(0, _FIRST_SOCKET)
    return Config(**{**fields, "server": tuple(fields["server"]), "gone": tuple(fields["gone"])})


def _forget_output() -> None:
    """Keep nothing of who started this one: he may end, or wait for his pipe to end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for file in (0, 1, 2):
        os.dup2(nothing, file)


def _let_go(config: Config, presence: Presence, *, has_failed: bool) -> None:
    """Have the device keep what was written, and say whether it does."""
    try:
        os.fsync(config.device)
        verdict = "failed" if has_failed else f"ok {presence.mark()}"
    except (OSError, IndexError):
        verdict = "failed"
    # There is room for it, but the file system may fail; who is told that the device is gone is to be told then too.
    with contextlib.suppress(OSError):
        os.pwrite(config.end, f"{verdict}\n".encode(), 0)
    with contextlib.suppress(OSError):
        os.unlink(config.socket, dir_fd=config.folder)
    for file in (config.device, config.end, config.lock, config.folder):
        os.close(file)


def _tell(gone: tuple[str, ...]) -> None:
    """Run the command until it succeeds, for some minutes: libvirt, or the guest, may be busy."""
    for _attempt in range(_TELLINGS):
        done = subprocess.run(
            gone, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        if done.returncode == 0:
            return
        time.sleep(_TELL_AGAIN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
