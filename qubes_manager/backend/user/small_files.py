"""Small files of the user's, written whole or not at all. All functions block."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes) -> bool:
    """Write *data*, unless it is there already; returns whether it was written. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".qubes-manager-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            # Without it a crash of the machine may leave an empty file under the new name.
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
