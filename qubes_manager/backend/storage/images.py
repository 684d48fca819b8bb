"""Disk image files: opened once, and what they are, told by tools in a sandbox."""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from qubes_manager.backend.host.tool_sandbox import Limits, ToolFailed, in_sandbox, run_sandboxed
from qubes_manager.backend.storage import qcow2_header
from qubes_manager.core.creation_request import MAX_VOLUME
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_line

IMAGE_LIMITS = Limits(memory=384 << 20, cpu=20)
_LOOK_TIMEOUT = 60
_SECTOR = 512
_HEAD = 1 << 10
# By what stands at which place of a file. The rest is raw: whatever is in there, it is nothing but bytes then.
_MAGIC = {
    "qcow2": (0, qcow2_header.MAGIC),
    "vmdk": (0, b"KDMV"),
    "qed": (0, b"QED\0"),
    "vhdx": (0, b"vhdxfile"),
    "vdi": (64, bytes.fromhex("7f10dabe")),
}
FORMATS = (*_MAGIC, "raw")
_UNUSABLE = {
    b"# Disk DescriptorFile": "it only describes a VMDK whose data are in other files",
    b"COWD": "it is a part of a VMDK",
    b"conectix": "it is a VHD (Virtual PC)",
    b"WithoutFreeSpace": "it is a Parallels image",
    b"WithouFreSpacExt": "it is a Parallels image",
    b"LUKS\xba\xbe": "it is encrypted",
}
_WHOLE_VMDK = ("monolithicSparse", "streamOptimized")
# Where a VDI says its type: of dynamic size, or static. QEMU reads others as if they were dynamic.
_VDI_TYPE, _WHOLE_VDI = slice(0x4C, 0x50), (b"\1\0\0\0", b"\2\0\0\0")
_NO_PARENT = 0xFFFFFFFF
# blkid's codes for having found nothing, or several things at once.
_NOTHING_FOUND = (2, 8)


@dataclass(frozen=True, slots=True)
class Image:
    """A disk image that was looked into: its name as users see it, its format, size as a guest sees it (bytes).

    *content* is what blkid finds in a raw one (``dos``). A *plain* one can be a volume as it is.
    """

    name: str
    format: str
    capacity: int
    content: str = ""
    plain: bool = False

    @property
    def is_iso(self) -> bool:
        """Whether it is an optical disc's image."""
        return self.content in ("iso9660", "udf")


def open_regular(path: Path) -> FileIO:
    """Open a regular file to be read; raises NotFound, Refused. Blocks.

    Whoever looks twice reads this descriptor twice: the path may mean another file the next time.
    """
    path = path.expanduser().absolute()
    shown = one_line(str(path), 300)
    try:
        # What is no file could block, or do something, when it is opened.
        if stat.S_ISREG(path.stat().st_mode):
            file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file
            file.close()
    except FileNotFoundError:
        raise NotFound(f"there is no file “{shown}”") from None
    except OSError as error:
        raise Refused(f"“{shown}” cannot be read: {error.strerror}") from error
    raise Refused(f"“{shown}” is not a file")


def check_readable(path: Path) -> Path:
    """Return the absolute path of a regular file that can be read; raises NotFound or Refused. Blocks."""
    with open_regular(path):
        return path.expanduser().absolute()


def check_attachable(path: Path, image_format: str) -> None:
    """Raise NotFound or Refused unless a domain may have the file as a disk of that format. Blocks.

    A raw one is bytes and nothing else.
    """
    with open_regular(path) as file:
        if image_format == "qcow2":
            require_alone(file, shown_name(path))


def shown_name(path: Path) -> str:
    """The name of a file as it is shown: a stranger may have chosen it."""
    return one_line(path.name, 120)


def image_format(file: BinaryIO) -> str:
    """Return the format of an image by its first bytes; what has those of none is raw."""
    return _format_of(os.pread(file.fileno(), _HEAD, 0))


def is_plain(file: BinaryIO) -> bool:
    """Whether an image can be a volume as it is, by its header."""
    try:
        return qcow2_header.read_header(os.pread(file.fileno(), qcow2_header.HEAD_SIZE, 0)).is_plain
    except ValueError:
        return False


def _format_of(head: bytes) -> str:
    return next((name for name, (place, magic) in _MAGIC.items() if head[place:].startswith(magic)), "raw")


def inspect_image(file: BinaryIO, name: str) -> Image:
    """Return what the image in *file*, called *name* towards the user, is; raises Refused. Blocks.

    An image that needs another file, as its backing or data file, as a part or as its parent, is refused: it could
    pull any file of the host into a domain.
    """
    head = os.pread(file.fileno(), _HEAD, 0)
    for magic, what in _UNUSABLE.items():
        if head.startswith(magic):
            raise Refused(f"“{name}” cannot be used: {what}; convert it to one file of qcow2 where it comes from")
    found = image_format(file)
    if found == "vdi" and head[_VDI_TYPE] not in _WHOLE_VDI:
        raise Refused(f"“{name}” holds only what differs from a parent image; make it whole where it comes from")
    match found:
        case "raw":
            size, content, plain = os.fstat(file.fileno()).st_size, _content(file), False
        case "qcow2":
            plain, content = require_alone(file, name).is_plain, ""
            size = _capacity(file, name, "qcow2")
        case _:
            size, content, plain = _capacity(file, name, found), "", False
    if not size or size % _SECTOR:
        raise Refused(f"“{name}” is not a disk image: its size is not a whole number of sectors")
    if size > MAX_VOLUME:
        raise Refused(f"“{name}” has {format_size(size)}; volumes have at most {format_size(MAX_VOLUME)}")
    return Image(name, found, size, content, plain)


def require_alone(file: BinaryIO, name: str) -> qcow2_header.Qcow2Header:
    """Return the header of a qcow2 image; raises Refused when it is none, or needs another file or a passphrase."""
    try:
        head = os.pread(file.fileno(), qcow2_header.HEAD_SIZE, 0)
    except OSError as error:
        raise Refused(f"“{name}” cannot be read: {error.strerror}") from error
    return _require_alone(head, name)


def require_format(head: bytes, wanted: str, name: str) -> None:
    """Raise Refused when *head*, the first bytes of an image, is not of that format, or needs another file."""
    if wanted == "qcow2":
        _require_alone(head, name)
    elif (found := _format_of(head)) != wanted:
        raise Refused(f"“{name}” is to be {wanted}, and the image for it is {found}")


def _require_alone(head: bytes, name: str) -> qcow2_header.Qcow2Header:
    try:
        header = qcow2_header.read_header(head)
    except ValueError as error:
        raise Refused(f"“{name}” cannot be used as qcow2: {error}") from error
    _refuse_references(name, header.references)
    if header.encrypted:
        raise Refused(f"“{name}” is encrypted; decrypt it first with “qemu-img convert”")
    return header


def _capacity(file: BinaryIO, name: str, which: str) -> int:
    """The size of an image of that format as a guest sees it, in bytes; raises Refused when it needs another file."""
    path = in_sandbox(file.fileno())
    argv = ["qemu-img", "info", "-f", which, "--output=json", path]
    try:
        output = run_sandboxed(argv, IMAGE_LIMITS, files=[file.fileno()], timeout=_LOOK_TIMEOUT)
        answer = json.loads(output)
    except (ToolFailed, ValueError) as error:
        reason = str(error).removeprefix("qemu-img: ").replace(path, name)
        raise Refused(f"“{name}” cannot be used as {which}: {reason}") from error
    specific = (answer.get("format-specific") or {}).get("data") or {}
    parts = [part.get("filename", "") for part in specific.get("extents") or []]
    backing = answer.get("backing-filename", path)
    _refuse_references(name, [str(other) for other in (backing, *parts) if other != path])
    if which == "vmdk" and specific.get("create-type") not in _WHOLE_VMDK:
        raise Refused(f"“{name}” is a VMDK of several files; convert it to one file of qcow2 where it comes from")
    if specific.get("parent-cid", _NO_PARENT) != _NO_PARENT:
        raise Refused(f"“{name}” holds only what differs from a parent image; make it whole where it comes from")
    return int(answer.get("virtual-size", 0))


def _refuse_references(name: str, others: Sequence[str]) -> None:
    if others:
        raise Refused(
            f"“{name}” refers to another file, “{one_line(others[0], 120)}”; "
            "make it whole first with “qemu-img convert”"
        )


def require_system(image: Image) -> None:
    """Raise Refused when a raw image has neither a partition table nor a file system that blkid knows."""
    if image.format == "raw" and not image.content:
        raise Refused(f"“{image.name}” is not a disk image: it has no partition table and no file system that is known")


def _content(file: BinaryIO) -> str:
    argv = ["blkid", "--probe", "--output", "export", in_sandbox(file.fileno())]
    try:
        output = run_sandboxed(argv, IMAGE_LIMITS, files=[file.fileno()], timeout=_LOOK_TIMEOUT)
    except ToolFailed as error:
        if error.code in _NOTHING_FOUND:
            return ""
        raise
    found = dict(line.partition("=")[::2] for line in output.decode("utf-8", "replace").splitlines())
    return found.get("TYPE") or found.get("PTTYPE") or ""
