"""qubes.ClipboardCopy: says what is on this domain's clipboard, text or, with the argument ``image``, plain pixels.

The host asks for it when the user has pressed the keys for it here. Nothing is said when there is nothing of the kind.
"""

import io
import sys
from collections.abc import Sequence

from qubes_manager.core.crossing.pixels import IMAGE, MOST_BYTES, MOST_IMAGE_BYTES, pixel_header
from qubes_manager.guest.clipboard import ClipboardError, read


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    try:
        # A byte more than may be tells that it is too much.
        data = _pixels() if IMAGE in arguments else read(MOST_BYTES + 1)
    except (ClipboardError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return 0


def _pixels() -> bytes:
    data = read(MOST_IMAGE_BYTES, "image/png")
    if not data:
        return b""
    # Debian's python3-pil; where text alone crosses it need not be there.
    try:
        from PIL import Image
    except ImportError:
        raise ClipboardError("python3-pil is not installed here, which reads pictures") from None
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        header = pixel_header(*picture.size)
        return header + picture.convert("RGBA").tobytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
