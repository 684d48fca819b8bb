"""nbdkit's side: serves a block device that somebody else has opened (nbdkit-python-plugin(3)).

It runs in nbdkit's own Python, in a sandbox in which there is no file but this one. Its parameters are descriptors:
``device``; ``told``, a pipe that hears when it is ready (r), of each client that comes (+) and goes (-), and that the
device did not take what was written (!); ``end``, the file that says at the end whether it did.
"""

import contextlib
import errno
import fcntl
import os
import select
import struct
import threading
import time
from typing import Any

import nbdkit  # type: ignore[import-not-found]

API_VERSION = 2
# linux/fs.h: a range of bytes that nobody needs any more; the size of a sector.
_BLKDISCARD, _BLKSSZGET = 0x1277, 0x1268
_PREFERRED, _LARGEST = 4096, 32 << 20
_POLL_SECONDS = 1.0
_given = {"device": -1, "told": -1, "end": -1}
_state = {"clients": 0, "failed": 0}
# Clients come and go in threads of nbdkit's.
_counting = threading.Lock()


def thread_model() -> int:
    """Several requests at once: the device's own queue orders them."""
    return int(nbdkit.THREAD_MODEL_PARALLEL)


def config(key: str, value: str) -> None:
    """Take a parameter."""
    _given[key] = int(value)


def get_ready() -> None:
    """All parameters are there, and clients come next."""
    threading.Thread(target=_end_alone, daemon=True).start()
    os.write(_given["told"], b"r")


def open(readonly: bool) -> int:
    """A client has come; its handle is the device."""
    _count(1)
    os.write(_given["told"], b"+")
    return _given["device"]


def close(device: int) -> None:
    """A client has gone: what it wrote is to be on the device."""
    try:
        os.fsync(device)
    except OSError:
        _fail()
    # Not before: who finds that no client is left ends this program.
    _count(-1)
    with contextlib.suppress(OSError):
        os.write(_given["told"], b"-")


def _count(change: int) -> None:
    with _counting:
        _state["clients"] += change


def _end_alone() -> None:
    """End with the last client where nobody looks after this program any more, and say how that ended."""
    watched = select.poll()
    watched.register(_given["told"], 0)
    while True:
        if watched.poll(_POLL_SECONDS * 1000) and not _state["clients"]:
            with contextlib.suppress(OSError):
                os.pwrite(_given["end"], b"failed\n" if _state["failed"] else b"ok\n", 0)
            os._exit(0)
        time.sleep(_POLL_SECONDS)


def _fail() -> None:
    """The device did not take what was written; told once for all, since who asks it again is told yes."""
    _state["failed"] = 1
    with contextlib.suppress(OSError):
        os.write(_given["told"], b"!")


def get_size(device: int) -> int:
    """In bytes."""
    return os.lseek(device, 0, os.SEEK_END)


def block_size(device: int) -> tuple[int, int, int]:
    """The least that the device takes, what it likes, the most that it is asked at once, in bytes."""
    found = fcntl.ioctl(device, _BLKSSZGET, bytes(4))
    least = int(struct.unpack("i", found)[0])
    return least, max(least, _PREFERRED), _LARGEST


def can_write(device: int) -> bool:
    """Whether it was opened for that."""
    return fcntl.fcntl(device, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


def can_multi_conn(_device: int) -> bool:
    """What one client has flushed is there for all."""
    return True


def can_flush(_device: int) -> bool:
    """Always."""
    return True


def can_trim(device: int) -> bool:
    """Where it can be written; a device that has no such command says so when it is asked."""
    return can_write(device)


def pread(device: int, buffer: Any, offset: int, _flags: int) -> None:
    """Fill *buffer*."""
    with memoryview(buffer) as whole:
        done = 0
        while done < len(whole):
            count = _tried(os.preadv, device, [whole[done:]], offset + done)
            if not count:
                raise _told(OSError(errno.EIO, "beyond the end"))
            done += count


def pwrite(device: int, buffer: Any, offset: int, _flags: int) -> None:
    """Write all of *buffer*."""
    with memoryview(buffer) as whole:
        done = 0
        while done < len(whole):
            done += _tried(os.pwrite, device, whole[done:], offset + done)


def flush(device: int, _flags: int) -> None:
    """Have the device keep what was written."""
    try:
        os.fsync(device)
    except OSError as error:
        _fail()
        raise _told(error) from error


def trim(device: int, count: int, offset: int, _flags: int) -> None:
    """Tell the device that a range is needed no more; one that has no use for that loses nothing."""
    try:
        fcntl.ioctl(device, _BLKDISCARD, struct.pack("QQ", offset, count))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise _told(error) from error


def _tried(call: Any, *words: Any) -> int:
    try:
        return int(call(*words) or 0)
    except OSError as error:
        raise _told(error) from error


def _told(error: OSError) -> OSError:
    """The client hears of the device's own error."""
    nbdkit.set_error(error.errno or errno.EIO)
    return error
