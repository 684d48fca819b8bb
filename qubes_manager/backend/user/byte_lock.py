"""Locks between all programs of one user, each of them one byte of one file, which nothing is ever written to.

A file for each lock would have to be removed some day, which cannot be done while others may be waiting for it.
"""

import fcntl
import hashlib
import os
import stat
import struct
import weakref
from pathlib import Path

from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.errors import Refused


class ByteLock:
    """A lock by name, held by at most one *exclusive* or several *shared* holders; the kernel frees it when one dies.

    These are “open file description locks” (fcntl_locking(2)): unlike older ones they keep two threads of a process
    apart too, and may lie behind the file's end.
    """

    def __init__(self, name: str) -> None:
        # 62 bits of a digest: two names do not meet.
        self._place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 2
        self._handle = _open(user_folder() / "locks")
        # One that gets lost, since who waited for it in another thread was cancelled, is nobody's.
        self._close = weakref.finalize(self, os.close, self._handle)

    def try_hold(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody has it; returns whether it is held now. Does not wait."""
        kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
        # struct flock: kind, whence, start, length, process; the rest is padding.
        wanted = struct.pack("hhqqi0q", kind, os.SEEK_SET, self._place, 1, 0)
        try:
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, wanted)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Let go."""
        self._close()


def _open(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Refused(f"the locks cannot be used: {path}: {error.strerror}") from error
    found = os.fstat(handle)
    if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
        os.close(handle)
        raise Refused(f"the locks cannot be used: {path} is not a file of yours alone; remove it")
    return handle
