"""How what comes from elsewhere is written: past no link, over nothing, whole, and marked."""

import errno
import os

from qubes_manager.core.errors import Refused

# For os.open: a folder, and a new file.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The attribute in which browsers say from where a file was loaded (freedesktop.org, CommonExtendedAttributes).
ORIGIN = "user.xdg.origin.url"


def write_all(file: int, data: bytes) -> None:
    """Write all of *data* to an open file that blocks; raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def refuse_full(error: OSError) -> None:
    """Raise Refused when it is for want of room that something could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise Refused("the disk is full: nothing was kept") from error
