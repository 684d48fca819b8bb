"""Icons in their domain's colour."""


def tint(pixels: bytes, colour: str) -> bytes:
    """Return a picture in shades of *colour*, ``#rrggbb``: light stays light, and dark stays dark.

    Pixels are blue, green, red, alpha, premultiplied. No step is taken for each: a whole channel is looked up, or added
    as one number.
    """
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    alpha = pixels[3::4]
    # Weights of ITU-R BT.601, in 256ths. They add up to no more than 255, so that no sum runs into the next pixel's.
    light = _sum(*(pixels[at::4].translate(_scaled(weight)) for at, weight in ((0, 29), (1, 149), (2, 77))))
    tinted = bytearray(pixels)
    for at, label in ((0, blue), (1, green), (2, red)):
        # From a dark shade of the label to a light one; what is dark is as opaque as it was.
        dark, bright = 0.3 * label, label + 0.4 * (255 - label)
        tinted[at::4] = _sum(alpha.translate(_scaled(dark)), light.translate(_scaled(bright - dark)))
    return bytes(tinted)


def _scaled(share: float) -> bytes:
    """A table that multiplies a byte by *share* of 255, at most."""
    return bytes(int(value * share / 255) for value in range(256))


def _sum(*channels: bytes) -> bytes:
    total = sum(int.from_bytes(channel, "little") for channel in channels)
    return total.to_bytes(len(channels[0]), "little")
