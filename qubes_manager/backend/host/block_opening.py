"""Opening a block device of this machine for one user of it alone.

What the user may open himself is opened; what root alone may, by udisks (udisks2's org.freedesktop.UDisks2.Block:
OpenDevice), which lets the desktop ask for a password. ``O_EXCL`` keeps others out: what this machine has mounted
cannot be opened so, and while it is open nothing of it can be mounted (open(2)).
"""

import asyncio
import errno
import fcntl
import os
import struct
import threading

from qubes_manager.backend.user.own_thread import in_own_thread
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.names import HOST_NAME

# Seconds: for a device that answers, and for a user who is asked for a password.
_PATIENCE, _ASKED = 20.0, 300.0
# How often, and how many seconds apart, a device is tried that somebody has open.
_ATTEMPTS, _PAUSE = 4, 0.4
_FLOCK, _QEMU_BYTES = "hhqqi0q", (100, 200)


async def open_block_device(path: str, *, read_only: bool) -> int:
    """Open the device at *path* and return its descriptor; raises NotFound, Refused, TimedOut, QubesManagerError.

    No QEMU opens it meanwhile, and none has it open: this has the locks that QEMU itself would have.
    """
    opened = await _open(path, read_only=read_only)
    try:
        _keep_other_qemus_out(opened, path)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _keep_other_qemus_out(opened: int, path: str) -> None:
    """Hold what each QEMU looks at before it opens an image (its docs, “Image locking”): 100 bytes from 100, and 200.

    They stay with the descriptor, whoever has it. Raises Refused where another QEMU has it open.
    """
    # struct flock: kind, whence, start, length, process; the rest is padding.
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, *_QEMU_BYTES, 0)
    found = struct.unpack(_FLOCK, fcntl.fcntl(opened, fcntl.F_OFD_GETLK, wanted))
    if found[0] != fcntl.F_UNLCK:
        raise Refused(f"{path}: another virtual machine of {HOST_NAME} has it open: detach it there first")
    fcntl.fcntl(opened, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, *_QEMU_BYTES, 0))


async def _open(path: str, *, read_only: bool) -> int:
    flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_EXCL | os.O_CLOEXEC
    for attempt in reversed(range(_ATTEMPTS)):
        try:
            async with asyncio.timeout(_PATIENCE):
                return await _Opening(path, flags).done()
        except PermissionError:
            break
        except TimeoutError:
            raise TimedOut(f"{path} does not answer: pull it out and put it in again") from None
        except OSError as error:
            if error.errno != errno.EBUSY or not attempt:
                raise _explained(path, error) from error
            # Who looks at what was plugged in just now has done so in a moment.
            await asyncio.sleep(_PAUSE)
    # Who is asked for a password is asked once.
    from qubes_manager.backend.host.udisks import open_by_udisks

    return await open_by_udisks(path, flags, _ASKED, read_only=read_only)


class _Opening:
    """The opening of a device that may take long; one that nobody waits for any more is closed, whenever it comes."""

    def __init__(self, path: str, flags: int) -> None:
        self._path = path
        self._flags = flags
        self._lock = threading.Lock()
        self._is_given_up = False
        self._opened = -1

    async def done(self) -> int:
        """The descriptor; raises OSError."""
        try:
            return await in_own_thread(self._open)
        except BaseException:
            with self._lock:
                self._is_given_up = True
                if self._opened >= 0:
                    os.close(self._opened)
            raise

    def _open(self) -> int:
        opened = os.open(self._path, self._flags)
        with self._lock:
            if self._is_given_up:
                os.close(opened)
            else:
                self._opened = opened
        return opened


def _explained(path: str, error: OSError) -> QubesManagerError:
    match error.errno:
        case errno.EBUSY:
            return Refused(f"{HOST_NAME} uses {path}: unmount it there, or close what has it open, and try again")
        case errno.EROFS | errno.EACCES:
            return Refused(f"{path} can only be read: attach it read-only")
        case errno.ENOMEDIUM:
            return Refused(f"there is nothing in {path}: put a disc or card in and try again")
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return NotFound(f"the host has no block device {path}: it was taken out")
    return QubesManagerError(f"{path} cannot be opened: {error.strerror}")
