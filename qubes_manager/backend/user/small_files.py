"""Small files of the user's, written whole or not at all. All functions block."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> bool:
    """Write *data*, unless it is there already; returns whether it was written. Raises OSError.

    With *durable* it is there after a crash of the machine too, which takes some milliseconds.
    """
    return bool(write_all({path: data}, durable=durable))


def write_all(files: Mapping[Path, bytes], *, durable: bool = False) -> int:
    """Write those of *files* that are not there already; returns how many. Raises OSError.

    All are beside their places before the first takes its own: a disk that is full leaves what was there before.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, data in files.items():
            with contextlib.suppress(FileNotFoundError):
                if path.read_bytes() == data:
                    continue
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".qubes-manager-")
            ready.append((Path(name), path))
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        for made, path in ready:
            made.replace(path)
    except BaseException:
        for made, _path in ready:
            made.unlink(missing_ok=True)
        raise
    return len(ready)
