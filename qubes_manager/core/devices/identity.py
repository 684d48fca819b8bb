"""What devices are called: their class, the port that they are at, and what they say that they are.

A device is written ``BACKEND:PORT[:IDENT]``, as in Qubes. The backend is this machine, ``dom0``. The port says where it
is (``sdb``, ``2-1.4``, ``0000_00_14.0``), its ident what it is; either may be ``*``.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from qubes_manager.core.errors import BadInput
from qubes_manager.core.names import HOST_NAME

ANY = "*"
_MAX_PART, _MAX_PATH = 255, 4095
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


class DeviceClass(StrEnum):
    """The kinds of devices, each handed over in its own way."""

    BLOCK = "block"
    USB = "usb"
    PCI = "pci"
    MIC = "mic"


def safe_word(text: str, limit: int = 48) -> str:
    """What a device says of itself as a part of its ident: of it only what no shell, path or list takes for more."""
    return _UNSAFE.sub("_", text[: 4 * limit]).strip("_")[:limit]


@dataclass(frozen=True, slots=True)
class DeviceName:
    """A device as a user writes it; an empty ident means whatever is at the port."""

    port: str
    ident: str = ""

    @property
    def text(self) -> str:
        """How it is written."""
        return f"{HOST_NAME}:{self.port}:{self.ident}" if self.ident else f"{HOST_NAME}:{self.port}"

    @property
    def is_path(self) -> bool:
        """Whether the port is a path: a file, or a device node by its full name."""
        return self.port.startswith("/")

    @property
    def is_image(self) -> bool:
        """Whether it is a file, and no device node."""
        return self.is_path and not self.port.startswith("/dev/")


def parse_device_name(text: str) -> DeviceName:
    """Return the device that *text* means; without a backend it is this machine's. Raises BadInput."""
    backend, colon, rest = text.partition(":")
    if not colon or text.startswith("/"):
        backend, rest = HOST_NAME, text
    if backend != HOST_NAME:
        raise BadInput("backend", backend[:80], f"only {HOST_NAME} has devices to give")
    if rest.startswith("/"):
        if len(rest) > _MAX_PATH or "\0" in rest:
            raise BadInput("device", text[:80], f"a path has at most {_MAX_PATH} characters")
        return DeviceName(rest)
    port, _, ident = rest.partition(":")
    if not port or len(port) > _MAX_PART or len(ident) > _MAX_PART or not rest.isprintable():
        raise BadInput("device", text[:80], f"write it as {HOST_NAME}:PORT or {HOST_NAME}:PORT:IDENT, as it is listed")
    if port == ANY and ident in ("", ANY):
        raise BadInput("device", text[:80], "the port or the ident may be *, not both")
    return DeviceName(port, ident)
