"""Image files on their way in: unpacking, copying, converting, and the lists of checksums. All block.

Each reads a file that is open, once, and writes another one that is open; the tools do so in a sandbox.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from qubes_manager.backend.host.tool_sandbox import Limits, ToolFailed, in_sandbox, run_sandboxed
from qubes_manager.backend.storage.images import IMAGE_LIMITS, Image, open_regular
from qubes_manager.core.checksums import Checksum
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.sizes import format_size

_CHUNK = 1 << 20
_BLOCK = 4096
_MAX_LIST = 4 << 20
# All that an unpacker may have, its own code included; the windows of what it unpacks are smaller.
UNPACK_MEMORY = 64 << 20
_LONG = 4 * 3600
# A disk is never filled to the brim: one part in so many stays free, and no more than that is needed.
_RESERVED_PART, _MAX_RESERVE = 20, 1 << 30
_UNPACKERS = {
    b"\x1f\x8b": ("gzip", "-dc"),
    b"\xfd7zXZ\x00": ("xz", "-dc", "--threads=1", "--memlimit-decompress=60MiB"),
    b"\x28\xb5\x2f\xfd": ("zstd", "-dc", "--memory=33554432"),
}
_PERCENT = re.compile(rb"\(([\d.]+)/100%\)")
_GNU_LINE = re.compile(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{128})\s+[* ]?(\S.*)")
_BSD_LINE = re.compile(r"SHA(?:256|512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]{64}|[0-9a-fA-F]{128})")


def unpacker(file: BinaryIO) -> tuple[str, ...]:
    """The command that unpacks the file (gzip, xz or zstd, by its first bytes); empty when it is not packed."""
    head = os.pread(file.fileno(), 8, 0)
    return next((argv for magic, argv in _UNPACKERS.items() if head.startswith(magic)), ())


def spare_room(folder: Path) -> int:
    """Return how many bytes more a folder's file system may hold: what is free there, less a reserve."""
    about = os.statvfs(folder)
    reserve = min(_MAX_RESERVE, about.f_blocks * about.f_frsize // _RESERVED_PART)
    return max(0, about.f_bavail * about.f_frsize - reserve)


class SparseFile:
    """Writes an image called *name* to a file, passing over blocks of zeros.

    No more than *room* bytes are stored, and with the holes it has at most *limit*.
    """

    def __init__(self, file: BinaryIO, name: str, room: int, limit: int) -> None:
        self.name = name
        self._file = file
        self._room, self._limit = room, limit
        self._stored = self._size = 0

    def write(self, data: bytes) -> None:
        """Write what comes next; raises Refused when it grows too large."""
        self._size += len(data)
        if self._size > self._limit:
            raise Refused(
                f"“{self.name}” has more than {format_size(self._limit)} in it, which is what it may have here; "
                "name a size if it is to be so large"
            )
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            if block.count(0) == len(block):
                self._file.seek(len(block), os.SEEK_CUR)
                continue
            self._stored += len(block)
            if self._stored > self._room:
                raise Refused(f"“{self.name}” does not fit: only {format_size(self._room)} can be used for it here")
            self._file.write(block)

    def finish(self) -> None:
        """Make the file as long as what was written."""
        self._file.truncate()
        self._file.flush()


def unpack(source: BinaryIO, plain: SparseFile, checksum: Checksum, progress: Progress = SILENT) -> None:
    """Unpack the image *source*; *checksum* hears the bytes as they are packed.

    Raises Cancelled, NotFound without the tool, Refused, QubesManagerError.
    """
    pieces = _read(source, checksum, progress)
    limits = Limits(UNPACK_MEMORY, _LONG)
    try:
        run_sandboxed(unpacker(source), limits, feed=pieces, take=plain.write, progress=progress)
    except ToolFailed as error:
        if re.search(r"[Mm]emory", error.details):
            most = format_size(UNPACK_MEMORY)
            raise Refused(f"“{plain.name}” takes more than {most} of memory to unpack; unpack it yourself") from error
        raise Refused(f"“{plain.name}” is damaged: {error}") from error
    # What a tool leaves unread belongs to the file too.
    for _ in pieces:
        pass
    plain.finish()


def copy(source: BinaryIO, plain: SparseFile, checksum: Checksum, progress: Progress = SILENT) -> None:
    """Copy an image that *checksum* is to hear: what is looked at later is what was checked."""
    for data in _read(source, checksum, progress):
        plain.write(data)
    plain.finish()


def read_through(source: BinaryIO, checksum: Checksum, progress: Progress = SILENT) -> None:
    """Tell *checksum* of all bytes of a file; raises Cancelled."""
    for _ in _read(source, checksum, progress):
        pass


def _read(source: BinaryIO, checksum: Checksum, progress: Progress) -> Iterator[bytes]:
    total, done = os.fstat(source.fileno()).st_size, 0
    while data := os.pread(source.fileno(), _CHUNK, done):
        progress.raise_if_cancelled()
        checksum.update(data)
        done += len(data)
        progress.at(done, total)
        yield data


def convert(source: BinaryIO, image: Image, target: BinaryIO, room: int, progress: Progress = SILENT) -> None:
    """Write the *image* in *source* as qcow2 to the empty file *target*, of *room* bytes at most.

    Raises Cancelled, Refused, QubesManagerError.
    """
    files = [source.fileno(), target.fileno()]
    argv = ["qemu-img", "convert", "-p", "-f", image.format, "-O", "qcow2", "-o", "compat=1.1", *map(in_sandbox, files)]

    def tell(said: bytes) -> None:
        if percents := _PERCENT.findall(said):
            progress.at(int(image.capacity * float(percents[-1]) / 100), image.capacity)

    limits = replace(IMAGE_LIMITS, cpu=_LONG, file_size=room)
    try:
        run_sandboxed(argv, limits, files=files, take=tell, progress=progress)
    except ToolFailed as error:
        reason = str(error).removeprefix("qemu-img: ").replace(in_sandbox(source.fileno()), image.name)
        raise QubesManagerError(f"“{image.name}” cannot be converted: {reason}", error.details) from error


def checksum_from_list(path: Path, image: str) -> str:
    """Return the digest that a SHA256SUMS or SHA512SUMS file has for the file named *image*.

    Raises NotFound, Refused, BadInput.
    """
    try:
        with open_regular(path) as file:
            data = file.read(_MAX_LIST + 1)
    except OSError as error:
        raise Refused(f"the list of checksums “{path}” cannot be read: {error.strerror}") from error
    if len(data) > _MAX_LIST:
        raise BadInput("checksum file", path.name, "a list of checksums has less than 4 MiB")
    for line in data.decode("utf-8", "replace").splitlines():
        if match := _GNU_LINE.fullmatch(line.strip()):
            digest, name = match[1], match[2]
        elif match := _BSD_LINE.fullmatch(line.strip()):
            name, digest = match[1], match[2]
        else:
            continue
        if name.strip().rsplit("/", 1)[-1] == image:
            return digest.lower()
    raise NotFound(f"“{path.name}” has no checksum for “{image}”")
