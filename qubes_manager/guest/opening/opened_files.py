"""The files that are open for another domain: what they were when they came, and which are others now."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive.walking import walk

# So many can come back, each by its name on a line.
MAX_EDITED = 10_000
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OpenedFiles:
    """All files below *tops* in *folder*, by their names there; raises Refused when there are too many."""

    def __init__(self, folder: Path, tops: Sequence[str]) -> None:
        self._folder = folder
        self._digests = {name: _digest(folder / name) for name in _names(folder, tops)}

    def look(self) -> "tuple[list[str], list[str]]":
        """Names of the files that have other bytes now, be it none, and of those that are no files any more."""
        now = {name: _digest(self._folder / name) for name in self._digests}
        changed = [name for name, digest in now.items() if digest not in ("", self._digests[name])]
        return changed, [name for name, digest in now.items() if not digest]


def make_read_only(folder: Path, tops: Sequence[str]) -> None:
    """Take the right to write off all files and folders."""
    for entry in walk([folder / top for top in tops], ignore_links=True, problem=lambda _path, _reason: None):
        if entry.is_file or entry.is_over:
            os.chmod(entry.path, entry.status.st_mode & 0o555)  # noqa: PTH101 - a name of any bytes


def _names(folder: Path, tops: Sequence[str]) -> Iterator[str]:
    count = 0
    for entry in walk([folder / top for top in tops], ignore_links=True, problem=lambda _path, _reason: None):
        if entry.is_file:
            count += 1
            if count > MAX_EDITED:
                raise Refused(f"at most {MAX_EDITED} files are opened to be edited at once: view them, or take fewer")
            yield entry.name


def _digest(path: Path) -> str:
    """The SHA-256 of a file; empty where there is none that can be read."""
    digest = hashlib.sha256()
    try:
        file = os.open(path, _FILE)
    except OSError:
        return ""
    with os.fdopen(file, "rb") as content:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        while data := content.read(1 << 18):
            digest.update(data)
    return digest.hexdigest()
