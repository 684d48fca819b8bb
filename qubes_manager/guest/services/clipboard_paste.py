"""qubes.ClipboardPaste: puts what comes on this domain's clipboard: text, or with the argument ``image`` a PNG.

With ``wipe`` in the argument it is forgotten after a minute, unless something else was copied meanwhile.
"""

import sys
from collections.abc import Sequence

from qubes_manager.core.crossing.pixels import IMAGE, MOST_BYTES, MOST_IMAGE_BYTES, WIPE
from qubes_manager.guest.clipboard import ClipboardError, own


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    words = set("+".join(arguments).split("+"))
    is_image = IMAGE in words
    limit = MOST_IMAGE_BYTES * 2 if is_image else MOST_BYTES
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        print(f"more than {limit:,} bytes came", file=sys.stderr)
        return 1
    try:
        own(data, "image/png" if is_image else "", forget=WIPE in words)
    except (ClipboardError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
