"""The versions of the display server that are known, and how each is greeted."""

import re
from dataclasses import dataclass

from qubes_manager.core.text import one_line
from qubes_manager.viewers.protocol import keyboard
from qubes_manager.viewers.protocol.metadata import SUPPORTED
from qubes_manager.viewers.protocol.packets import ClientHello
from qubes_manager.viewers.protocol.png_icon import MAX_ICON
from qubes_manager.viewers.wire.framing import RENCODE, RENCODEPLUS
from qubes_manager.viewers.wire.rencode import Sayable

# Whether pictures are to come compressed: wire/lz4_block.py says why.
LZ4 = True

_ENCODINGS = ("rgb32", "rgb24", "scroll")
# With alpha too, which is not looked at: servers would make other pixels of those of windows that have it.
_PIXEL_FORMATS = ("BGRX", "BGRA", "RGB")
_ICON: dict[str, Sayable] = {"size": (MAX_ICON, MAX_ICON), "max_size": (MAX_ICON, MAX_ICON)}
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})(\.[\w.+~-]*)?", re.ASCII)


class ProtocolBroken(Exception):
    """The guest cannot be talked to any more; its text says why, in a few plain words."""


class UnknownServer(ProtocolBroken):
    """The guest's server, or its guest tools, are of a version that is not known: trying again does not help."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"its display server is xpra {one_line(version, 60)}, and this program knows 3.1, 5 and 6: "
            "update this program, or the guest tools of its template"
        )


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server of a version is talked to."""

    name: str
    # The form of values, as frames name it.
    form: int
    # What we say that we are: a version that the server knows as one like itself.
    version: str


OLD = Dialect("3.1", RENCODE, "3.1.3")
NEW = Dialect("5 and 6", RENCODEPLUS, "6.5")


def dialect_of(version: str) -> Dialect:
    """The dialect of the server *version*; raises UnknownServer."""
    found = _VERSION.match(version)
    numbers = (int(found[1]), int(found[2])) if found else (0, 0)
    if numbers == (3, 1):
        return OLD
    if numbers[0] in (5, 6):
        return NEW
    raise UnknownServer(version[:20])


def hello(dialect: Dialect, said: ClientHello) -> dict[str, Sayable]:
    """The capabilities in the client's first packet: what we show is asked for, and of the host nothing is told but
    that.

    A server takes for missing what is not named, so what we do not want is named where it is taken for granted alone.
    """
    own = _as_3_1(said) if dialect is OLD else _as_6()
    return _common(dialect, said) | keyboard.described(said.keyboard, is_3_1=dialect is OLD) | own


def _common(dialect: Dialect, said: ClientHello) -> dict[str, Sayable]:
    return {
        "version": dialect.version,
        "client_type": "qubes-manager",
        "rencode": dialect.form == RENCODE,
        "rencodeplus": dialect.form == RENCODEPLUS,
        "chunks": True,
        "compression_level": 0,
        "zlib": False,
        "lz4": False,
        "windows": True,
        "keyboard": True,
        "modifiers": (),
        "desktop_size": (said.width, said.height),
        "dpi": said.dpi,
        "metadata.supported": SUPPORTED,
        "cursors": True,
        "encodings": _ENCODINGS,
        "encodings.core": _ENCODINGS,
        "encodings.cursor": ("raw",),
        "encodings.window-icon": ("png",),
        "encodings.rgb_formats": _PIXEL_FORMATS,
        "encoding.rgb_lz4": LZ4,
        "wants_versions": False,
        "wants_features": False,
        "wants_encodings": False,
        "notify-startup-complete": True,
    }


def _as_3_1(said: ClientHello) -> dict[str, Sayable]:
    return {
        "encoding": "rgb",
        "encoding.rgb_zlib": False,
        "encoding.transparency": True,
        "encoding.scrolling": True,
        "encoding.icons.size": _ICON["size"],
        "encoding.icons.max_size": _ICON["max_size"],
        "dpi.x": said.dpi,
        "dpi.y": said.dpi,
        "window.initiate-moveresize": True,
        "wants_aliases": False,
    }


def _as_6() -> dict[str, Sayable]:
    return {
        "window": {"enabled": True},
        "pointer": {},
        "mouse": True,
        "encoding": {
            "": "rgb",
            "setting": "rgb",
            "options": _ENCODINGS,
            "core": _ENCODINGS,
            "rgb_formats": _PIXEL_FORMATS,
            "rgb_lz4": LZ4,
            "transparency": True,
            "scrolling": True,
            "window-icon": ("png",),
            "icons": _ICON,
        },
    }
