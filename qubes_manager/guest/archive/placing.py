"""Moves what came whole to its name in a folder, and over what is there only if that is asked for."""

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive.names import MAX_PART, shown_name

# From linux/fs.h, for renameat2(2).
_NOREPLACE, _EXCHANGE = 1, 2
_MOST_NUMBERS = 10_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Of file systems and kernels that do not know how.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


def place(source: int, made: str, target: int, name: str, clash: Clash) -> str:
    """Move *made* in the open folder *source* to *name* in *target*; returns the name that it has got.

    What was replaced is in *source* afterwards, as *made*. Empty: it was left out. Raises Refused, OSError.
    """
    if _moved(source, made, target, name):
        return name
    if clash is Clash.SKIP:
        return ""
    if clash is Clash.REPLACE:
        _exchange(source, made, target, name)
        return name
    for number in range(2, _MOST_NUMBERS):
        numbered = numbered_name(name, number)
        if _moved(source, made, target, numbered):
            return numbered
    raise Refused(f"“{shown_name(name)}” and all its numbers are there already: tidy the folder up")


def place_beside(made: Path, folder: Path, name: str) -> Path:
    """Move the file or folder *made* to *name* in *folder*, or to a numbered one; returns where it is then."""
    source = os.open(made.parent, _FOLDER)
    target = os.open(folder, _FOLDER)
    try:
        return folder / place(source, made.name, target, name, Clash.NUMBER)
    finally:
        os.close(source)
        os.close(target)


def numbered_name(name: str, number: int) -> str:
    """``report.pdf`` with 2 is ``report (2).pdf``; cut where it would be too long for a name."""
    stem, dot, ending = name.rpartition(".")
    # “.profile” has no ending, and what is long behind a dot is none.
    if not stem or len(ending) > 10:
        stem, dot, ending = name, "", ""
    tail = f" ({number}){dot}{ending}"
    room = MAX_PART - len(os.fsencode(tail))
    return os.fsencode(stem)[:room].decode("utf-8", "ignore" if _is_text(stem) else "surrogateescape") + tail


def sync_file_system(file: int) -> None:
    """Wait until all that was written to the file system of the open *file* is on its disk."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(file):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _is_text(name: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in name)


def _moved(source: int, made: str, target: int, name: str) -> bool:
    """Move without replacing; False when the name is taken."""
    try:
        _rename(source, made, target, name, _NOREPLACE)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        # Without the kernel's help nobody but this user can take the name in between.
        with suppress(FileNotFoundError):
            os.lstat(name, dir_fd=target)
            return False
        os.rename(made, name, src_dir_fd=source, dst_dir_fd=target)
    return True


def _exchange(source: int, made: str, target: int, name: str) -> None:
    try:
        _rename(source, made, target, name, _EXCHANGE)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        os.rename(name, f"{made}.old", src_dir_fd=target, dst_dir_fd=source)
        os.rename(made, name, src_dir_fd=source, dst_dir_fd=target)


def _rename(source: int, made: str, target: int, name: str, how: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if libc.renameat2(source, os.fsencode(made), target, os.fsencode(name), ctypes.c_uint(how)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
