"""Image files on their way in: unpacking, converting, and the lists of checksums that come with them. All block."""

import contextlib
import gzip
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import zstandard

from qubes_manager.backend.host.host_tools import run_long_tool
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress

_CHUNK = 1 << 20
_BLOCK = 4096
_MAX_LIST = 4 << 20
_MAGIC: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda file: _ZstdFile(file),
}
_GNU_LINE = re.compile(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{128})\s+[* ]?(\S.*)")
_BSD_LINE = re.compile(r"SHA(?:256|512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]{64}|[0-9a-fA-F]{128})")


class _ZstdFile:
    """Reads a zstd file of one or more frames; raises EOFError when it is cut short, which stream_reader does not."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside = False

    def read(self, size: int) -> bytes:
        """Return the next bytes, from about *size* packed ones; nothing at the end."""
        while data := self._file.read(size // 8):
            plain = b""
            while data:
                self._inside = True
                plain += self._frame.decompress(data)
                data = b""
                if self._frame.eof:
                    data = self._frame.unused_data
                    self._inside = False
                    self._frame = zstandard.ZstdDecompressor().decompressobj()
            if plain:
                return plain
        if self._inside:
            raise EOFError("it is cut short")
        return b""

    def close(self) -> None:
        """The file belongs to the caller."""


def is_compressed(path: Path) -> bool:
    """Whether the file is one of gzip, xz or zstd, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(8)
    return any(head.startswith(magic) for magic in _MAGIC)


def unpack(source: Path, target: Path, progress: Progress = SILENT) -> None:
    """Unpack a compressed image to *target*, zeros as holes; raises Cancelled, Refused, QubesManagerError."""
    total = source.stat().st_size
    with source.open("rb") as packed, target.open("wb") as file:
        head = packed.read(8)
        packed.seek(0)
        opener = next(opener for magic, opener in _MAGIC.items() if head.startswith(magic))
        try:
            with contextlib.closing(opener(packed)) as plain:
                while data := plain.read(_CHUNK):
                    progress.raise_if_cancelled()
                    _write_sparse(file, data)
                    progress.at(packed.tell() if not packed.closed else total, total)
        except (lzma.LZMAError, zstandard.ZstdError, gzip.BadGzipFile, EOFError) as error:
            raise Refused(f"“{source.name}” is damaged: {error}") from error
        except OSError as error:
            raise QubesManagerError(f"cannot unpack “{source.name}”: {error.strerror or error}") from error
        file.truncate()


def _write_sparse(file: IO[bytes], data: bytes) -> None:
    """Write *data*, passing over blocks of zeros."""
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        if block.count(0) == len(block):
            file.seek(len(block), os.SEEK_CUR)
        else:
            file.write(block)


def convert(source: Path, image_format: str, target: Path, progress: Progress = SILENT) -> None:
    """Write the image *source* as qcow2 to *target*; raises Cancelled, QubesManagerError."""
    argv: list[str | Path] = ["qemu-img", "convert", "-f", image_format, "-O", "qcow2", source, target]
    run_long_tool(argv, on_line=lambda _line: None, progress=progress)


def checksum_from_list(path: Path, image: str) -> str:
    """Return the digest that a SHA256SUMS or SHA512SUMS file has for the file named *image*.

    Raises NotFound, BadInput.
    """
    try:
        if path.stat().st_size > _MAX_LIST:
            raise BadInput("checksum file", path.name, "a list of checksums has less than 4 MiB")
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise NotFound(f"the list of checksums “{path}” cannot be read: {error.strerror}") from error
    for line in text.splitlines():
        if match := _GNU_LINE.fullmatch(line.strip()):
            digest, name = match[1], match[2]
        elif match := _BSD_LINE.fullmatch(line.strip()):
            name, digest = match[1], match[2]
        else:
            continue
        if name.strip().rsplit("/", 1)[-1] == image:
            return digest.lower()
    raise NotFound(f"“{path.name}” has no checksum for “{image}”")
