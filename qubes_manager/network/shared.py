"""The user namespace above those of all domains of a folder, and who holds them.

Between two network namespaces a cable is laid by who has the rights of both. Each domain's is owned by a user namespace
of its own, so that what runs in one has no right in another; all of these are made in one, whose root can join them. It
is there as long as any of them is.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from qubes_manager.network import namespaces

_HOLDER = ".holder"
# Seconds that another start may take to do the same.
_PATIENCE, _PAUSE = 3.0, 0.01


@contextmanager
def shared_users(folder: str, uuid: str) -> Iterator[None]:
    """Move this process to the shared user namespace, made where there is none; raises OSError.

    When the block is over, this process is known as the holder of that domain's namespaces.
    """
    lock = os.open(f"{folder}/namespaces.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(lock)
        _enter(folder)
        yield
        place = _place(folder, uuid)
        with open(f"{place}.new", "w") as file:  # noqa: PTH123 - pathlib takes 5 ms of a start to load
            file.write(f"{os.getpid()} {_begun(os.getpid())}")
        os.replace(f"{place}.new", place)  # noqa: PTH105
    finally:
        os.close(lock)


def holder_of(folder: str, uuid: str) -> int:
    """Return the process that holds a domain's namespaces; raises OSError where there is none."""
    with open(_place(folder, uuid), encoding="ascii", errors="replace") as file:  # noqa: PTH123
        pid, _, begun = file.read(100).partition(" ")
    # Numbers of processes are used again.
    if not pid.isdecimal() or _begun(int(pid)) != begun:
        raise ProcessLookupError(f"{uuid} has no holder any more")
    return int(pid)


def forget_holder(folder: str, uuid: str, holder: int) -> None:
    """Take back what is told of a holder that has ended, or is about to; never that of a later one."""
    try:
        if holder_of(folder, uuid) == holder:
            os.unlink(_place(folder, uuid))  # noqa: PTH108
    except OSError:
        pass


def is_same(users: int, others: int) -> bool:
    """Whether two descriptors are of one namespace."""
    return os.path.sameopenfile(users, others)


def open_users(holder: int) -> int:
    """Return a descriptor of the user namespace above that of a holder; raises OSError."""
    own = os.open(f"/proc/{holder}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return namespaces.open_parent(own)
    finally:
        os.close(own)


def _enter(folder: str) -> None:
    for name in sorted(os.listdir(folder)):  # noqa: PTH208
        uuid, ending = os.path.splitext(name)  # noqa: PTH122
        if ending != _HOLDER:
            continue
        try:
            users = open_users(holder_of(folder, uuid))
            try:
                namespaces.enter(users, namespaces.NEW_USER)
            finally:
                os.close(users)
        except OSError:
            continue
        return
    namespaces.enter_new_users()


def _place(folder: str, uuid: str) -> str:
    return f"{folder}/{uuid}{_HOLDER}"


def _begun(pid: int) -> str:
    """When a process was started, in the kernel's own unit (proc(5)); what its name has in it is its own."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        return file.read().rpartition(b")")[2].split()[19].decode("ascii")


def _take(lock: int) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise OSError("another domain does not come to an end with its start") from None
            time.sleep(_PAUSE)
        else:
            return
