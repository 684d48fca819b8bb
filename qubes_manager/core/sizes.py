"""Sizes as users write and read them; the unit is always the byte, prefixes are powers of 1024."""

import re

from qubes_manager.core.errors import BadInput

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_PATTERN = re.compile(r"(\d{1,18})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str, field: str = "size") -> int:
    """Return the bytes that *text* means: a number, or one with K, M, G or T; raises BadInput."""
    match = _PATTERN.fullmatch(text.strip())
    if not match:
        raise BadInput(field, text[:80], "give bytes, or a number with K, M, G or T")
    return int(match[1]) * _UNITS[match[2].upper()]


def format_size(count: int) -> str:
    """Return *count* bytes in words, with three figures at the most: ``1.5 GiB``."""
    value = float(count)
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    unit = units[0]
    digits = 0 if unit == "B" or value >= 100 else 1
    return f"{value:.{digits}f} {unit}"
