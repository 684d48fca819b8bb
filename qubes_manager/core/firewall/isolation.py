"""Whether a domain's network is apart from this machine, as its XML says it."""

from enum import Enum
from pathlib import PurePath

# The folder of what stands in for QEMU; its name is how an emulator of ours is known.
EMULATORS = "network"
_OURS = "qubes-manager"


class Isolation(Enum):
    """What user networking comes to; the values are how it is shown, and how it is asked for."""

    ISOLATED = "isolated"
    OPEN = "open"


def is_ours(emulator: str) -> bool:
    """Whether *emulator*, a path, is a program of ours in QEMU's place."""
    path = PurePath(emulator)
    return path.parent.name == EMULATORS and path.parent.parent.name == _OURS
