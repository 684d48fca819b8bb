"""The program that ``archive_sandbox`` runs: an archive on standard input, its members on standard output."""

import json
import sys
from collections.abc import Callable
from typing import BinaryIO

from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.archive.names import is_unusual, shown_name, split_name
from qubes_manager.guest.archive.tar_stream import TarStream

_LATEST = 1 << 40


def main() -> None:
    """Entry point."""
    try:
        with open(0, "rb", buffering=0) as archive, open(1, "wb") as out:
            _retell(archive.read, out, all_names="--all-names" in sys.argv)
    except QubesManagerError as error:
        sys.exit(str(error))


def _retell(read: Callable[[int], bytes], out: BinaryIO, *, all_names: bool) -> None:
    stream = TarStream(read)
    for info in stream.members():
        split_name(info.name)
        if not all_names and is_unusual(info.name):
            raise Refused(f"“{shown_name(info.name)}” has unusual characters, and was not allowed to have them")
        told = {
            "type": "member",
            "name": info.name,
            "is_folder": info.isdir(),
            "is_link": info.issym(),
            "size": info.size,
            "mode": info.mode & 0o777,
            # NaN is in no range.
            "changed": int(info.mtime) if 0 <= info.mtime < _LATEST else 0,
        }
        out.write(json.dumps(told).encode() + b"\n")
        if info.isreg():
            for data in stream.content(info):
                out.write(data)
    stream.finish()


if __name__ == "__main__":
    main()
