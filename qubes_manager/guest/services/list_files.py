"""qubes_manager.ListFiles: tells the host what is in a folder, for its file dialog; see ``core.crossing.listing``."""

import os
import shutil
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from qubes_manager.core.crossing.listing import MAX_ENTRIES, MAX_PATH, Entry, FileKind, Listing, write_listing
from qubes_manager.core.errors import Refused
from qubes_manager.guest.exchange import plain_reason, send


def main(_arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    try:
        asked = sys.stdin.buffer.read(MAX_PATH + 1)
        if len(asked) > MAX_PATH or b"\0" in asked:
            raise Refused("what was asked for is no path")
        send(write_listing(_listing(Path.home() / os.fsdecode(asked.removesuffix(b"\n")))))
    except (Refused, OSError) as error:
        print(plain_reason(error), file=sys.stderr)
        return 1
    return 0


def _listing(folder: Path) -> Listing:
    folder = folder.resolve(strict=True)
    with os.scandir(folder) as found:
        entries = [entry for item in islice(found, MAX_ENTRIES) if (entry := _entry(item))]
        is_cut = next(found, None) is not None
    return Listing(str(folder), shutil.disk_usage(folder).free, tuple(entries), is_cut)


def _entry(item: "os.DirEntry[str]") -> Entry | None:
    # A link is told as what it leads to, as far as that is there.
    with suppress(OSError):
        status = item.stat()
        kind = FileKind.OTHER
        if stat.S_ISDIR(status.st_mode):
            kind = FileKind.FOLDER
        elif stat.S_ISREG(status.st_mode):
            kind = FileKind.FILE
        return Entry(item.name, kind, status.st_size, max(0, int(status.st_mtime)))
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
