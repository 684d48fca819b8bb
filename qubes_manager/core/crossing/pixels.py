"""What the inter-domain clipboard carries: how much of it, and how a picture is said on the way.

A picture leaves a guest as plain pixels, so that no program of the host ever decodes what a guest made: a line with its
width and height, and four bytes for each pixel (red, green, blue, opacity), row by row.
"""

import re

# Bytes of a text that no setting goes beyond, as in Qubes OS.
MOST_BYTES = 256_000
MOST_PIXELS = 16_000_000
# The service's argument for a picture in place of a text, and for a paste that the domain forgets after a minute.
IMAGE, WIPE = "image", "wipe"
_HEADER = re.compile(rb"RGBA ([1-9][0-9]{0,7}) ([1-9][0-9]{0,7})\n")
_MOST_HEADER = 24
# Bytes of a picture on the way.
MOST_IMAGE_BYTES = MOST_PIXELS * 4 + _MOST_HEADER


def pixel_header(width: int, height: int) -> bytes:
    """The line before the pixels; raises ValueError when they are too many."""
    if width * height > MOST_PIXELS:
        raise ValueError(f"the picture has {width} x {height} pixels, and {MOST_PIXELS:,} are taken at most")
    return b"RGBA %d %d\n" % (width, height)


def split_pixels(data: bytes) -> tuple[int, int, memoryview]:
    """Width, height and pixels; raises ValueError unless there are exactly as many as the line says."""
    found = _HEADER.match(data[:_MOST_HEADER])
    if not found:
        raise ValueError("what came is no picture in plain pixels")
    width, height = int(found[1]), int(found[2])
    pixel_header(width, height)
    pixels = memoryview(data)[found.end() :]
    if len(pixels) != width * height * 4:
        raise ValueError(f"a picture of {width} x {height} pixels came with {len(pixels):,} bytes of them")
    return width, height, pixels
