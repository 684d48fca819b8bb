"""Where the broker of a connection is found."""

from pathlib import Path
from urllib.parse import urlsplit

from qubes_manager.services.programs import address


def can_carry(uri: str) -> bool:
    """Whether the domains of a connection can have ports that things cross through: QEMU's can."""
    return urlsplit(uri).scheme.partition("+")[0] == "qemu"


def socket_path(uri: str) -> Path:
    """Where it listens, on whatever screen its clients are; raises Refused when the folder is not ours. Blocks."""
    return address.socket_path("broker", uri)
