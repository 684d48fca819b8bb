"""The header of a qcow2 image: what says whether it is whole by itself (QEMU's docs/interop/qcow2.txt)."""

import struct
from dataclasses import dataclass

MAGIC = b"QFI\xfb"
_FIXED = struct.Struct(">4sIQIIQI24xI8x")
_LATER = struct.Struct(">Q20xI")
_DATA_FILE_BIT = 1 << 2
_DATA_FILE_EXTENSION = 0x44415441
MAX_NAME = 1023
# All that is read: header, its extensions and the name of the backing file lie in the first cluster.
HEAD_SIZE = 1 << 16


@dataclass(frozen=True, slots=True)
class Qcow2Header:
    """What the header says; *references* names the files that the image needs besides itself."""

    version: int
    encrypted: bool
    snapshots: int
    unusual: bool
    references: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the image can be a volume as it is: of version 3, whole by itself, with nothing out of the way."""
        odd = self.references or self.encrypted or self.snapshots or self.unusual
        return self.version == 3 and not odd


def read_header(head: bytes) -> Qcow2Header:
    """Return what *head*, the first bytes of an image, says; raises ValueError where no such header is."""
    if len(head) < _FIXED.size or not head.startswith(MAGIC):
        raise ValueError("it has no qcow2 header")
    _magic, version, backing, length, _bits, _size, crypt, snapshots = _FIXED.unpack_from(head)
    if version not in (2, 3):
        raise ValueError(f"it is qcow2 of version {version}; use 2 or 3")
    unusual, size = 0, _FIXED.size
    if version == 3:
        if len(head) < _FIXED.size + _LATER.size:
            raise ValueError("its qcow2 header is cut short")
        unusual, size = _LATER.unpack_from(head, _FIXED.size)
    references = [_name(head[backing : backing + min(length, MAX_NAME)])] if backing else []
    if unusual & _DATA_FILE_BIT:
        references.append(_name(data_file_name(head, size)))
    return Qcow2Header(version, bool(crypt), snapshots, bool(unusual), tuple(references))


def data_file_name(head: bytes, place: int) -> bytes:
    """The name in the extension for a data file, of those that begin at *place*; a data file need not be named."""
    while place + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, place)
        if kind == _DATA_FILE_EXTENSION:
            return head[place + 8 : place + 8 + min(length, MAX_NAME)]
        if not kind:
            break
        place += 8 + (length + 7) // 8 * 8
    return b""


def _name(data: bytes) -> str:
    return data.decode("utf-8", "replace") or "a file that it does not name"
