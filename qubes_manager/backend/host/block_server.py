"""Serving a block device to a QEMU that may not open it: nbdkit holds the open device, QEMU connects to its socket.

The server is in a sandbox without files and network, outlives who started it, and ends with its last client or with the
device (``nbd/keeper.py``).
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO

from qubes_manager.backend.host.block_opening import open_block_device
from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.backend.host.tool_sandbox import SYSTEM_LINKS
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.hardware import SERVED_FOLDER, SERVED_SUFFIX
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.text import one_line
from qubes_manager.nbd.keeper import READY, Presence

# Seconds: for the server to listen, and for one that is told to end.
_START, _END = 20.0, 5.0
_PAUSE = 0.1
# How often it is looked whether a server that has said how it ended has let go of the device.
_LAST_LOOKS = 20
_ATTEMPTS = 5
# Bytes: of the server's address space, and of a socket's path (unix(7)).
_MEMORY, _LONGEST_PATH = 2 << 30, 107
_PLUGIN = "/run/plugin.py"
_SAID = 4096
_END_SUFFIX = ".end"
# Bytes that an end may say: there is room for them from the beginning, whatever becomes of the file system meanwhile.
_ROOM = 256
# Seconds for which it is kept for who waits for it, beside other attachments of the device.
_OLD_END = 3600
# Where distributions put its plugins.
_PLUGINS = tuple(f"{place}/nbdkit/plugins/nbdkit-python-plugin.so" for place in ("lib", "lib64", "lib/*"))
# By this the system's bus starts udisks.
_UDISKS = Path("/usr/share/dbus-1/system-services/org.freedesktop.UDisks2.service")


class NotWritten(QubesManagerError):
    """A device did not take all that was written to it."""


@dataclass(frozen=True, slots=True)
class ServedPlace:
    """Where a device is served: a folder with sockets, one for each time, and a file that is locked meanwhile.

    Beside each socket a file says at the end whether the device took what was written, and in which state it was left.
    """

    folder: Path

    def new_socket(self) -> Path:
        """Where QEMU is to connect this time: what is told of another time is not about this one."""
        return self.folder / f"{secrets.token_hex(4)}{SERVED_SUFFIX}"

    @property
    def lock(self) -> Path:
        """Held as long as anything has the device open."""
        return self.folder / "lock"

    def is_served(self) -> bool:
        """Whether the device is open still. Blocks."""
        try:
            with self.lock.open("rb") as file:
                return not _locked(file.fileno(), fcntl.LOCK_SH)
        except OSError:
            return False

    def verdict(self, socket: str) -> tuple[bool, str] | None:
        """Whether the device took all that was written through a socket of that name, and the mark of its state then.

        None where that is not over. Blocks.
        """
        try:
            said = self.end_of(socket).read_text("ascii", "replace")[:_SAID].strip()
        except OSError:
            said = ""
        word, _, mark = said.partition(" ")
        return (word == "ok", mark) if said else None

    def end_of(self, socket: str) -> Path:
        """The file that says how it ended."""
        return self.folder / f"{socket.removesuffix(SERVED_SUFFIX)}{_END_SUFFIX}"


def served_place(volumes: Path, location: str, ident: str) -> ServedPlace:
    """The place of a device, for a libvirt that keeps our volumes in the folder *volumes*: the same each time."""
    digest = hashlib.sha256(f"{location}\0{ident}".encode()).hexdigest()[:16]
    return ServedPlace(volumes.parent / SERVED_FOLDER / digest)


@contextlib.asynccontextmanager
async def serving(
    place: ServedPlace, socket: Path, path: str, gone: Sequence[str], *, read_only: bool
) -> AsyncIterator[None]:
    """Serve the block device at *path* at a place's *socket*; where the block fails, it is served no more.

    *gone* is the command that is run when the device has been taken out. Raises NotFound, Refused, TimedOut.
    """
    _require_tools()
    if len(os.fsencode(socket)) > _LONGEST_PATH:
        raise Refused(f"{socket}: the path is longer than a socket's may be ({_LONGEST_PATH} bytes)")
    if await asyncio.to_thread(place.is_served):
        raise _served_already(path)
    device = await open_block_device(path, read_only=read_only)
    keeper = await _started(place, socket, device, path, tuple(gone))
    try:
        await _wait_until_ready(keeper, path)
    except BaseException:
        keeper.terminate()
        raise
    try:
        yield
    except BaseException:
        # It ends when it has no client: where QEMU has come all the same, nothing is torn from it.
        keeper.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.shield(asyncio.to_thread(keeper.wait, _END))
        raise


async def _started(
    place: ServedPlace, socket: Path, device: int, path: str, gone: tuple[str, ...]
) -> "subprocess.Popen[bytes]":
    """Start the keeper, who has the device from then on; when nobody waits for it any more, it is ended."""
    starting = asyncio.ensure_future(asyncio.to_thread(_start, place, socket, device, path, gone))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_end_unwanted)
        raise


def _end_unwanted(starting: "asyncio.Future[subprocess.Popen[bytes]]") -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().terminate()


async def wait_until_released(place: ServedPlace, socket: str, timeout: float, progress: Progress = SILENT) -> None:
    """Wait until what was served at a socket of that name is over: all that was written is in the device then.

    *timeout* is in seconds, for drives that are slow. Raises TimedOut, Cancelled, and NotWritten where it is not.
    """
    try:
        async with asyncio.timeout(timeout):
            while (ended := await asyncio.to_thread(place.verdict, socket)) is None:
                if not await asyncio.to_thread(place.is_served):
                    # Whoever served it was killed, or says it just now.
                    ended = await asyncio.to_thread(place.verdict, socket)
                    break
                progress.raise_if_cancelled()
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise TimedOut(
            f"the device still keeps what was written, after {timeout:.0f} s: do not pull it out yet"
        ) from None
    await _until_closed(place)
    if ended is None or not ended[0]:
        raise NotWritten("the device did not take all that was written to it, and what is on it may be torn")


def mark_of(path: str) -> str:
    """What a device's mark is now: see ``ServedPlace.verdict``. Blocks; raises OSError."""
    number = Path(path).stat().st_rdev
    return Presence(f"{os.major(number)}:{os.minor(number)}").mark()


def missing_packages() -> list[str]:
    """What is not installed of that which devices need that root alone may open. Blocks."""
    wanted = {
        "nbdkit": shutil.which("nbdkit") is not None,
        "nbdkit-plugin-python": any(True for place in _PLUGINS for _found in Path("/usr").glob(place)),
        "bubblewrap": shutil.which("bwrap") is not None,
        "udisks2": _UDISKS.exists(),
    }
    return [package for package, is_there in wanted.items() if not is_there]


def _require_tools() -> None:
    for tool, packages in (("nbdkit", "nbdkit and nbdkit-plugin-python"), ("bwrap", "bubblewrap")):
        if shutil.which(tool) is None:
            raise NotFound(f"{tool} is not installed, which serves devices to domains: install {packages}")


def _served_already(path: str) -> Refused:
    return Refused(f"{path} is being served already: detach it where it is attached, or wait a moment, and try again")


async def _until_closed(place: ServedPlace) -> None:
    """Wait for the moment that it takes to let go of a device, so that it can be attached again at once.

    Not for longer: somebody else may have it already.
    """
    for _look in range(_LAST_LOOKS):
        if not await asyncio.to_thread(place.is_served):
            return
        await asyncio.sleep(_PAUSE)


def _start(
    place: ServedPlace, socket: Path, device: int, path: str, gone: tuple[str, ...]
) -> "subprocess.Popen[bytes]":
    """Start the keeper; *device* is its own then, and closed here in any case."""
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, device)
        status = os.fstat(device)
        if not stat.S_ISBLK(status.st_mode):
            raise Refused(f"{path} is no block device any more: it was taken out")
        try:
            folder, owner = _make_folder(place)
            closing.callback(os.close, folder)
            lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            closing.callback(os.close, lock)
            if not _taken(lock):
                raise _served_already(path)
            if owner >= 0:
                os.fchown(lock, owner, -1)
            _tidy(folder)
            end = _make_end(folder, place.end_of(socket.name).name)
            closing.callback(os.close, end)
            if owner >= 0:
                os.fchown(end, owner, -1)
        except OSError as error:
            raise Refused(f"{place.folder} cannot be used, where devices are served: {error.strerror}") from error
        package = resources.files("qubes_manager.nbd")
        config = {
            "device": device,
            "lock": lock,
            "end": end,
            "folder": folder,
            "number": f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}",
            "socket": socket.name,
            "server": _server(str(package / "plugin.py")),
            "gone": gone,
            "owner": owner,
        }
        words = [SYSTEM_PYTHON, "-IS", str(package / "keeper.py"), json.dumps(config)]
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(device, lock, end, folder),
            start_new_session=True,
            cwd="/",
        )


def _tidy(folder: int) -> None:
    """Take away sockets of servers that were killed, and ends that nobody waits for any more."""
    for old in os.listdir(folder):
        is_old = old.endswith(_END_SUFFIX) and time.time() - os.stat(old, dir_fd=folder).st_mtime > _OLD_END
        if is_old or old.endswith(SERVED_SUFFIX):
            os.unlink(old, dir_fd=folder)


def _make_end(folder: int, name: str) -> int:
    """Make the file that says how it ends, with room for that; raises OSError where there is none."""
    end = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    try:
        os.pwrite(end, b" " * _ROOM, 0)
        os.fsync(end)
    except BaseException:
        os.close(end)
        raise
    return end


def _make_folder(place: ServedPlace) -> tuple[int, int]:
    """Make the folder and return its descriptor, and whose it is where that is another user.

    Root serves for the user whose libvirt it is, and is led nowhere else by that user's links.
    """
    base = place.folder.parent.parent
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    way = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    status = os.fstat(way)
    is_other = os.geteuid() != status.st_uid
    for name in (place.folder.parent.name, place.folder.name):
        above = way
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
            way = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        finally:
            os.close(above)
        if is_other:
            os.fchown(way, status.st_uid, status.st_gid)
    return way, status.st_uid if is_other else -1


def _locked(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(lock: int) -> bool:
    """Take the lock for good; somebody may be looking whether it is free just now."""
    for _attempt in range(_ATTEMPTS):
        if _locked(lock):
            return True
        time.sleep(_PAUSE)
    return False


def _server(plugin: str) -> list[str]:
    """nbdkit in its sandbox; its parameters come behind."""
    return [
        *("bwrap", "--unshare-all", "--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", "/usr/bin:/usr/sbin"),
        *("--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
        *(word for link in SYSTEM_LINKS for word in ("--symlink", *link)),
        *("--proc", "/proc", "--dev", "/dev", "--ro-bind", plugin, _PLUGIN, "--chdir", "/"),
        # It is given the socket, as the first descriptor (sd_listen_fds(3)), so that it needs no folder.
        *("--as-pid-1", "--setenv", "LISTEN_PID", "1", "--setenv", "LISTEN_FDS", "1"),
        *("--", "prlimit", f"--as={_MEMORY}", "--core=0", "--", "nbdkit", "--foreground", "python", _PLUGIN),
    ]


def _first_words(said: IO[bytes]) -> bytes:
    """That it is ready, or else all that is wrong; nothing more is read then."""
    with said:
        line = said.readline(_SAID)
        return line if line == READY else line + said.read(_SAID)


async def _wait_until_ready(keeper: "subprocess.Popen[bytes]", path: str) -> None:
    assert keeper.stdout
    try:
        async with asyncio.timeout(_START):
            said = await asyncio.to_thread(_first_words, keeper.stdout)
    except TimeoutError:
        raise TimedOut(f"{path}: the server of block devices does not start") from None
    if said != READY:
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"]
        words = one_line(lines[-1], 300)
        raise QubesManagerError(f"{path} cannot be served: {words}")
