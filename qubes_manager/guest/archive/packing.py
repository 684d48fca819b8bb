"""Writes files as one archive into a pipe; what a file becomes meanwhile does not harm the archive."""

import errno
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.walking import Entry, Problem, Survey, identity, walk

CHUNK = 256 << 10
# Two empty blocks end an archive (POSIX, pax).
END = bytes(2 * tarfile.BLOCKSIZE)


class Shrunk(QubesManagerError):
    """A file lost bytes while it was sent: what has gone out of it makes no whole."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What went into a pipe: bytes of files, files with folders and links, and the SHA-256 of the archive in hex."""

    size: int
    count: int
    sha256: str


def pack(
    survey: Survey,
    write: Callable[[bytes], object],
    *,
    problem: Problem,
    on_sent: Callable[[Entry], object] = lambda _entry: None,
    on_bytes: Callable[[int], object] = lambda _count: None,
) -> Packed:
    """Write what *survey* found to *write*, in constant memory.

    What cannot be read goes to *problem* and is left out. *on_sent* is told each entry when it has gone out whole and
    is still the same, a folder after all that is in it; *on_bytes* how many bytes of files went out since the last.
    Raises Shrunk, and whatever *write* raises; then the archive is not whole, and who reads it keeps nothing.
    """
    packing = _Packing(write, on_bytes)
    for entry in walk(survey.paths, ignore_links=survey.ignore_links, problem=problem):
        if entry.is_over or packing.add(entry, problem):
            on_sent(entry)
    return packing.end()


class _Packing:
    """One archive as it is written."""

    def __init__(self, write: Callable[[bytes], object], on_bytes: Callable[[int], object]) -> None:
        self._write_out = write
        self._on_bytes = on_bytes
        self._digest = hashlib.sha256()
        # Of small files many go out at once.
        self._waiting = bytearray()
        self._size = self._count = 0

    def add(self, entry: Entry, problem: Problem) -> bool:
        """Write one entry; returns whether all of it is through with: a folder is not before its content is."""
        if not entry.is_file:
            self._put_header(entry, 0)
            return not entry.is_folder
        try:
            # A pipe that took the file's place must not stop us, nor a link lead elsewhere.
            file = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            problem(entry.path, error.strerror or str(error))
            return False
        try:
            return self._add_file(entry, file, problem)
        finally:
            os.close(file)

    def end(self) -> Packed:
        """Write the end and the digest."""
        self._put(END)
        self._put_out(bytes(self._waiting))
        self._write_out(self._digest.digest())
        return Packed(self._size, self._count, self._digest.hexdigest())

    def _add_file(self, entry: Entry, file: int, problem: Problem) -> bool:
        before = os.fstat(file)
        if not stat.S_ISREG(before.st_mode):
            problem(entry.path, "was replaced while it was sent")
            return False
        try:
            # A disk that is broken is to be known of before the header has gone out, as far as it can be.
            ahead = os.read(file, CHUNK)
        except OSError as error:
            problem(entry.path, error.strerror or str(error))
            return False
        self._put_header(Entry(entry.path, entry.name, before), before.st_size)
        self._put_content(entry, file, ahead, before.st_size)
        self._put(bytes(-before.st_size % tarfile.BLOCKSIZE))
        after = os.fstat(file)
        if identity(before) == identity(after):
            return identity(entry.status) == identity(after)
        problem(entry.path, "changed while it was sent")
        return False

    def _put_content(self, entry: Entry, file: int, ahead: bytes, size: int) -> None:
        left, data = size, ahead[:size]
        while left:
            if not data:
                raise Shrunk(f"“{shown_name(entry.name)}” became smaller while it was sent: nothing was copied")
            self._put(data)
            left -= len(data)
            self._size += len(data)
            self._on_bytes(len(data))
            try:
                data = os.read(file, min(CHUNK, left)) if left else b""
            except OSError as error:
                reason = error.strerror or os.strerror(errno.EIO)
                raise Shrunk(f"“{shown_name(entry.name)}” cannot be read to its end: {reason}") from error

    def _put_header(self, entry: Entry, size: int) -> None:
        self._count += 1
        self._put(_header(entry, size))

    def _put(self, data: bytes) -> None:
        if len(self._waiting) + len(data) < CHUNK:
            self._waiting += data
            return
        if self._waiting:
            self._put_out(bytes(self._waiting))
            self._waiting.clear()
        self._put_out(data)

    def _put_out(self, data: bytes) -> None:
        self._digest.update(data)
        self._write_out(data)


def _header(entry: Entry, size: int) -> bytes:
    info = tarfile.TarInfo(entry.name)
    info.mode = stat.S_IMODE(entry.status.st_mode)
    info.mtime = entry.status.st_mtime
    info.size = size
    if entry.is_folder:
        info.type = tarfile.DIRTYPE
    elif entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
