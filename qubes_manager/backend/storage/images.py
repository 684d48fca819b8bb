"""Disk image files: what they are, told by the tools that know."""

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress

_FORMATS = ("qcow2", "raw", "vmdk", "vdi", "vhdx", "qed")
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Image:
    """A disk image: format, size as a guest sees it (bytes), and what blkid finds in a raw one (``dos``).

    *name* is what the user calls it, when the file itself is only there for a while.
    """

    path: Path
    format: str
    capacity: int
    content: str
    name: str = ""

    @property
    def is_iso(self) -> bool:
        """Whether it is an optical disc's image."""
        return self.content in ("iso9660", "udf")


def check_readable(path: Path) -> Path:
    """Return the absolute path of a regular file that can be read; raises NotFound or Refused. Blocks."""
    path = path.expanduser().absolute()
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Refused(f"“{path}” is not a file")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise NotFound(f"there is no file “{path}”") from None
    except OSError as error:
        raise Refused(f"“{path}” cannot be read: {error.strerror}") from error
    return path


def inspect_image(path: Path, name: str = "") -> Image:
    """Return what the image file *path* is, called *name* towards the user; raises NotFound, Refused. Blocks.

    An image that names another file as its backing or data file is refused: it could pull any file of the host
    into a domain.
    """
    path = check_readable(path)
    name = name or path.name
    answer = json.loads(run_tool_now(["qemu-img", "info", "--output=json", path]))
    image_format = str(answer.get("format", ""))
    if image_format not in _FORMATS:
        raise Refused(f"“{name}” has the format {image_format!r}; use one of {', '.join(_FORMATS)}")
    specific = (answer.get("format-specific") or {}).get("data") or {}
    if answer.get("backing-filename") or specific.get("data-file"):
        raise Refused(f"“{name}” refers to another file; make it whole first with “qemu-img convert”")
    size = int(answer.get("virtual-size", 0))
    if not size or size % _SECTOR:
        raise Refused(f"“{name}” is not a disk image: its size is not a whole number of sectors")
    return Image(path, image_format, size, _content(path) if image_format == "raw" else "", name)


def require_system(image: Image) -> None:
    """Raise Refused when a raw image has neither a partition table nor a file system that blkid knows."""
    if image.format == "raw" and not image.content:
        raise Refused(f"“{image.name}” is not a disk image: it has no partition table and no file system that is known")


def _content(path: Path) -> str:
    try:
        output = run_tool_now(["blkid", "--probe", "--output", "export", path])
    except NotFound:
        output = run_tool_now(["/usr/sbin/blkid", "--probe", "--output", "export", path])
    except QubesManagerError:
        return ""  # blkid exits with 2 when it recognises nothing
    found = dict(line.partition("=")[::2] for line in output.decode("utf-8", "replace").splitlines())
    return found.get("TYPE") or found.get("PTTYPE") or ""


def file_digest(path: Path, algorithm: str, progress: Progress = SILENT) -> str:
    """Return the hexadecimal digest of a file; raises Cancelled. Blocks, and tells and asks *progress* every MiB."""
    digest = hashlib.new(algorithm)
    done = 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            progress.raise_if_cancelled()
            digest.update(data)
            done += len(data)
            progress.at(done)
    return digest.hexdigest()
