"""What devices can do, by the codes of their interfaces, and kinds of devices that a domain is never to get.

A code is the letter of the bus and six hexadecimal digits: class, subclass and protocol, as the bus has them
(https://www.usb.org/defined-class-codes; PCI Code and ID Assignment Specification). In a pattern a ``*`` stands for any
digit: ``u03****`` are all keyboards, mice and the like.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from qubes_manager.core.errors import BadInput

ANY_BLOCK, ANY_MICROPHONE = "b******", "m******"
STORAGE, KEYBOARD, MOUSE, HID, HUB = "u08****", "u030101", "u030102", "u03****", "u09****"
_PATTERN = re.compile(r"[up*][0-9a-f*]{6}|[bm]\*{6}")
_LENGTH = 7


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of devices: the pattern of its codes, what people call it, and its picture."""

    pattern: str
    words: str
    icon: str


# A device of several kinds is called by the first that it has.
KINDS = (
    Kind(HUB, "USB hub", "device-usb"),
    Kind(KEYBOARD, "keyboard", "device-keyboard"),
    Kind(MOUSE, "mouse", "device-mouse"),
    Kind("u0e****", "camera", "device-camera"),
    Kind(STORAGE, "USB drive", "device-drive"),
    Kind("ue00101", "Bluetooth adapter", "device-usb"),
    Kind("u0b****", "smart card reader", "device-usb"),
    Kind("u07****", "printer", "device-printer"),
    Kind("u06****", "camera or scanner", "device-camera"),
    Kind("u01****", "audio device", "device-audio"),
    Kind("u02****", "network adapter", "device-network"),
    Kind("ue0****", "wireless adapter", "device-network"),
    Kind(HID, "input device", "device-keyboard"),
    Kind("u******", "USB device", "device-usb"),
    Kind("p0108**", "NVMe controller", "device-controller"),
    Kind("p0106**", "SATA controller", "device-controller"),
    Kind("p01****", "storage controller", "device-controller"),
    Kind("p02****", "network controller", "device-network"),
    Kind("p03****", "graphics card", "device-controller"),
    Kind("p0403**", "audio controller", "device-audio"),
    Kind("p04****", "multimedia controller", "device-audio"),
    Kind("p05****", "memory controller", "device-controller"),
    Kind("p06****", "bridge", "device-controller"),
    Kind("p09****", "input controller", "device-keyboard"),
    Kind("p0c03**", "USB controller", "device-usb"),
    Kind("p0d11**", "Bluetooth controller", "device-usb"),
    Kind("p0d****", "wireless controller", "device-network"),
    Kind("p******", "PCI device", "device-controller"),
    Kind(ANY_BLOCK, "block device", "device-drive"),
    Kind(ANY_MICROPHONE, "microphone", "device-microphone"),
)


def fits(pattern: str, code: str) -> bool:
    """Whether a code, in which ``*`` stands for what is not known, is one of *pattern*."""
    return len(code) == len(pattern) and all(one in ("*", other) for one, other in zip(pattern, code, strict=True))


def could_be(pattern: str, code: str) -> bool:
    """Whether a code may be one of *pattern*, as far as it is known: what is not known could be anything."""
    pairs = zip(pattern, code, strict=False)
    return len(code) == len(pattern) and all(one == "*" or other in ("*", one) for one, other in pairs)


def kind_of(codes: Iterable[str]) -> Kind:
    """The kind of a device with these interfaces."""
    known = tuple(codes)
    found = (kind for kind in KINDS if any(fits(kind.pattern, code) for code in known))
    return next(found, Kind("*******", "device", "device-usb"))


def parse_denied(text: str) -> tuple[str, ...]:
    """Return the patterns of *text*, set apart by spaces or commas, or in one as Qubes writes them; raises BadInput."""
    found = []
    for word in text.lower().replace(",", " ").split():
        if len(word) % _LENGTH:
            raise _not_understood(word)
        found += [word[start : start + _LENGTH] for start in range(0, len(word), _LENGTH)]
    for pattern in found:
        if not _PATTERN.fullmatch(pattern):
            raise _not_understood(pattern)
    return tuple(dict.fromkeys(found))


def denied_by(patterns: Iterable[str], codes: Iterable[str]) -> str:
    """Return the first of *patterns* that one of the codes may be of; empty where none is."""
    known = tuple(codes)
    return next((pattern for pattern in patterns if any(could_be(pattern, code) for code in known)), "")


def _not_understood(word: str) -> BadInput:
    return BadInput(
        "devices_denied",
        word[:80],
        "write codes as u03**** (a bus of u, b, p or m, then class, subclass and protocol, or * for any), or nothing",
    )
