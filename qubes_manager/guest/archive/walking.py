"""The files that are named on a command line, and all that is in folders, in the order of an archive."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive.names import check_link, is_unusual, split_name

# What is said of a file that stays behind: its path and why.
Problem = Callable[[str, str], object]
_SPECIAL = "is no file, folder or link, and is not copied"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link: where it is, its name in the archive, and what it was when it was looked at.

    A folder comes twice: before its content, and behind it (*is_over*).
    """

    path: str
    name: str
    status: os.stat_result
    link: str = ""
    is_over: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it has bytes of its own."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether others are in it."""
        return stat.S_ISDIR(self.status.st_mode)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be sent: how many files, folders and links, their bytes, and whether any name is unusual."""

    paths: tuple[Path, ...]
    count: int
    size: int
    is_unusual: bool
    ignore_links: bool = False


def identity(status: os.stat_result) -> tuple[int, ...]:
    """What tells whether a file is the same one, and has not been written to, between two looks at it."""
    return (status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _ignore(_path: str, _reason: str) -> None:
    return


def survey(paths: Iterable[Path], *, ignore_links: bool = False, problem: Problem = _ignore) -> Survey:
    """Look through *paths* before anything is sent; ``pack`` meets the same problems, and should tell them."""
    count = size = 0
    unusual = False
    named = tuple(paths)
    for entry in walk(named, ignore_links=ignore_links, problem=problem):
        if not entry.is_over:
            count += 1
            size += entry.status.st_size if entry.is_file else 0
            unusual = unusual or is_unusual(entry.name) or is_unusual(entry.link)
    return Survey(named, count, size, unusual, ignore_links)


def walk(paths: Iterable[Path], *, ignore_links: bool, problem: Problem) -> Iterator[Entry]:
    """Each entry, depth first; what cannot be copied goes to *problem* and is left out."""
    for path in paths:
        # “.” has a name too; but a link's own name counts, not that of what it points to.
        full = os.path.abspath(path)  # noqa: PTH100 - pathlib's resolve() would follow links
        name = os.path.basename(full)  # noqa: PTH119
        if not name:
            problem(str(path), "cannot be copied as a whole")
            continue
        yield from _walk(full, name, ignore_links, problem)


def _walk(path: str, name: str, ignore_links: bool, problem: Problem) -> Iterator[Entry]:
    try:
        split_name(name)
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as found:
                yield Entry(path, name, status)
                for item in found:
                    yield from _walk(item.path, f"{name}/{item.name}", ignore_links, problem)
            yield Entry(path, name, status, is_over=True)
        elif stat.S_ISLNK(status.st_mode):
            if not ignore_links:
                link = os.readlink(path)  # noqa: PTH115 - text, not a path
                check_link(name, link)
                yield Entry(path, name, status, link)
        elif stat.S_ISREG(status.st_mode):
            yield Entry(path, name, status)
        else:
            problem(path, _SPECIAL)
    except Refused as error:
        problem(path, str(error))
    except OSError as error:
        problem(path, error.strerror or str(error))
