"""qubes_manager.FetchFiles: sends the files that the host names, by paths that NUL separates, as one archive.

Before it stands an ``Offer``. What could not be read is told on the standard error, and then the exit code is 1.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.packing import pack
from qubes_manager.guest.archive.walking import survey
from qubes_manager.guest.exchange import StandardStreams, Stream, line, plain_reason

_MOST = 1 << 20


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    return serve(arguments, StandardStreams())


def serve(_arguments: Sequence[str], stream: Stream) -> int:
    """Send what is asked for through *stream*; returns the exit code."""
    problems = 0

    def tell(path: str, reason: str) -> None:
        nonlocal problems
        problems += 1
        print(f"{shown_name(path)}: {reason}", file=sys.stderr)

    try:
        found = survey(_asked(stream))
        stream.write(line(Offer(found.size, found.count)))
        pack(found, stream.write, problem=tell)
    except (QubesManagerError, OSError) as error:
        print(plain_reason(error), file=sys.stderr)
        return 1
    return 1 if problems else 0


def _asked(stream: Stream) -> list[Path]:
    asked = b""
    while data := stream.read(_MOST):
        asked += data
        if len(asked) > _MOST:
            raise Refused("too many files are asked for at once")
    return [Path.home() / os.fsdecode(path) for path in asked.split(b"\0") if path]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
