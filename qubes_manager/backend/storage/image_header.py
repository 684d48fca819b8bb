"""What an image's own header says that it stands on, or is made of. QEMU reads the same; a guest cannot write it.

What is found here may only forbid: a file that is not an overlay says what it likes.
"""

import itertools
import json
import os
import re
import stat
import struct
from pathlib import Path

from qubes_manager.backend.storage.qcow2_header import HEAD_SIZE, MAGIC, MAX_NAME, data_file_name

_QED, _QED_BACKING = b"QED\0", 0x01
# VMware's "Virtual Disk Format 5.0": a text that says which files have the data, by itself or inside the first of them.
_VMDK, _VMDK_TEXT, _SECTOR = b"KDMV", b"# Disk DescriptorFile", 512
_VMDK_FILE = re.compile(
    rb'^[ \t]*(?:(?:RW|RDONLY|NOACCESS)[ \t]+\d+[ \t]+\w+[ \t]+|parentFileNameHint[ \t]*=[ \t]*)"([^"\r\n]+)"',
    re.MULTILINE,
)
_MOST_FILES = 256


def read_references(path: str) -> list[str]:
    """Return the paths of the files that the image *path* stands on or keeps its data in; none where it says none.

    Reads at most 65 KiB, and nothing but files and block devices. Raises OSError. Blocks.
    """
    if not _is_storage(os.stat(path)):  # noqa: PTH116 - one name for what is asked and what is opened
        return []
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not _is_storage(os.fstat(file)):
            return []
        names = _names(file, os.pread(file, HEAD_SIZE, 0))
    finally:
        os.close(file)
    folder = Path(path).parent
    return [str(folder / name) for text in names for name in _files_in(text)]


def _is_storage(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _names(file: int, header: bytes) -> list[str]:
    try:
        if header.startswith(MAGIC):
            version, offset, size = struct.unpack_from(">IQI", header, 4)
            # Only a header of version 3 says how long it is, and has a data file.
            data = data_file_name(header, *struct.unpack_from(">I", header, 100)) if version > 2 else b""
            return [_text(file, offset, size), os.fsdecode(data)]
        if header.startswith(_QED):
            (features,) = struct.unpack_from("<Q", header, 16)
            offset, size = struct.unpack_from("<II", header, 56)
            return [_text(file, offset, size)] if features & _QED_BACKING else []
        if header.startswith((_VMDK, _VMDK_TEXT)):
            (place,) = struct.unpack_from("<Q", header, 28) if header.startswith(_VMDK) else (0,)
            found = _VMDK_FILE.finditer(header, min(place * _SECTOR, len(header)))
            return [os.fsdecode(match[1]) for match in itertools.islice(found, _MOST_FILES)]
    except struct.error:
        pass
    return []


def _text(file: int, offset: int, size: int) -> str:
    if not 0 < size <= MAX_NAME or not 0 < offset < 1 << 62:
        return ""
    return os.fsdecode(os.pread(file, size, offset).partition(b"\0")[0])


def _files_in(text: str) -> list[str]:
    """The files that QEMU's name for an image speaks of: a path, a file: URI, or json: with names inside."""
    if text.startswith("json:"):
        try:
            return _file_names(json.loads(text[5:]))
        except (ValueError, RecursionError):
            return []
    if text.startswith("file:"):
        return [text.removeprefix("file:").replace("///", "/", 1)]
    # A protocol is what stands before the first colon, unless a slash comes first (QEMU's path_has_protocol).
    protocol, colon, _rest = text.partition(":")
    return [text] if text and (not colon or "/" in protocol) else []


def _file_names(options: object) -> list[str]:
    if isinstance(options, list):
        return [name for option in options for name in _file_names(option)]
    if not isinstance(options, dict):
        return []
    own = [v for k, v in options.items() if k.rpartition(".")[2] == "filename" and isinstance(v, str)]
    return own + [name for option in options.values() for name in _file_names(option)]
