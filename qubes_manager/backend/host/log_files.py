"""Reading log files piecewise, from the end. All functions block."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.firewall.isolation import EMULATORS

CHUNK = 1 << 20
_TAIL = 64
_JOURNAL_UNITS = ("libvirtd", "virtqemud", "virtnetworkd", "virtstoraged", "virtnodedevd")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes *start* to *end* of a file; by its inode and the last bytes before *end* a replaced file is noticed."""

    data: bytes
    start: int
    end: int
    inode: int
    tail: bytes = b""


def network_log(volumes: Path, uuid: str) -> Path:
    """Where the keeper of a domain's network says what it refused, for the libvirt that keeps our *volumes* there."""
    return volumes.parent / EMULATORS / f"{uuid}.log"


def read_piece(path: Path, end: int | None = None, size: int = CHUNK) -> Piece:
    """Return the last *size* bytes before the offset *end* (None: the end of the file), from a line's start on."""
    with _open(path) as file:
        found = os.fstat(file.fileno())
        end = found.st_size if end is None else min(end, found.st_size)
        start = max(0, end - size)
        data = os.pread(file.fileno(), end - start, start)
    if start:
        # A cut line is left to the piece before it, unless the whole piece is one line.
        newline = data.find(b"\n")
        if 0 <= newline < len(data) - 1:
            start += newline + 1
            data = data[newline + 1 :]
    return Piece(data, start, start + len(data), found.st_ino, data[-_TAIL:])


def read_growth(path: Path, after: Piece, size: int = CHUNK) -> Piece:
    """Return what came behind the piece *after*; from the start when the file was cut or replaced."""
    with _open(path) as file:
        found = os.fstat(file.fileno())
        # A new file may get the inode of the old one, and may have grown beyond it by now.
        tail = os.pread(file.fileno(), len(after.tail), after.end - len(after.tail))
        same = found.st_ino == after.inode and found.st_size >= after.end and tail == after.tail
        start = after.end if same else 0
        data = os.pread(file.fileno(), min(size, found.st_size - start), start)
    return Piece(data, start, start + len(data), found.st_ino, ((after.tail if same else b"") + data)[-_TAIL:])


def copy_log(path: Path, target: Path) -> int:
    """Copy a whole log file to *target*, and return its size in bytes."""
    count = 0
    with _open(path) as source, target.open("wb") as file:
        while data := source.read(CHUNK):
            count += file.write(data)
    return count


def read_journal() -> bytes:
    """Return the libvirt daemons' last messages from the system journal, as far as the user may read it."""
    units = [word for unit in _JOURNAL_UNITS for word in ("-u", unit)]
    return run_tool_now(["journalctl", "--no-pager", "--output=short-iso", "--lines=5000", *units], timeout=20)


def existing(paths: "Iterator[tuple[str, Path]]") -> list[tuple[str, Path]]:
    """Return those (title, path) whose file can be read."""
    return [(title, path) for title, path in paths if os.access(path, os.R_OK)]


def _open(path: Path) -> FileIO:
    try:
        # What is no file must not keep a thread waiting.
        file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        raise Refused(f"the log {path} cannot be read: it is no file")
    except FileNotFoundError:
        raise NotFound(f"there is no log {path}") from None
    except OSError as error:
        raise Refused(f"the log {path} cannot be read: {error.strerror}") from error
