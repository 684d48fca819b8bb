"""The host's scale in the guest: the display says the dots per inch, and toolkits want words of their own for it.

The display server sets the resource ``Xft.dpi`` when a host connects, and again when the host's screen changes. What
starts in the session has the words for it in its environment, so that a change is followed by the next application.
"""

import ctypes
import re
from collections.abc import Mapping
from pathlib import Path

# In the session's folder, for whoever starts programs in it: NAME=value, a line each.
FILE = "scale"
_USUAL = 96
# What is no screen's: a host that says so is not followed.
_FEWEST, _MOST = 48, 480
_DPI = re.compile(rb"^Xft\.dpi:[ \t]*([0-9]{1,4})[ \t]*$", re.MULTILINE)
_LINE = re.compile(r"^([A-Z_]+)=([0-9.]+)$", re.MULTILINE)
# X.h: XSelectInput's mask for the properties of a window; Xlib.h: the bytes of an XEvent.
_PROPERTY_CHANGE, _EVENT_BYTES = 1 << 22, 24 * ctypes.sizeof(ctypes.c_long)


def words(dpi: int) -> Mapping[str, str]:
    """What the environment of programs says for so many dots per inch."""
    dpi = dpi if _FEWEST <= dpi <= _MOST else _USUAL
    # GTK 3 knows whole numbers only, and multiplies its text, which follows Xft.dpi by itself, with them too.
    whole = max(1, dpi // _USUAL)
    return {
        "GDK_SCALE": str(whole),
        "GDK_DPI_SCALE": f"{1 / whole:.4g}",
        # Qt 6 would follow Xft.dpi, Qt 5 with its text alone: so both take it from here, and text is scaled once.
        "QT_SCALE_FACTOR": f"{dpi / _USUAL:.4g}",
        "QT_FONT_DPI": str(_USUAL),
        "XCURSOR_SIZE": str(round(24 * dpi / _USUAL)),
    }


def write(folder: Path, dpi: int) -> Mapping[str, str]:
    """Leave the words in the session's folder, whole, and return them."""
    found = words(dpi)
    fresh = folder / f".{FILE}"
    fresh.write_text("".join(f"{name}={value}\n" for name, value in found.items()))
    fresh.rename(folder / FILE)
    return found


def read(folder: Path) -> Mapping[str, str]:
    """The words that are in the session's folder; none where nobody has left any."""
    try:
        return dict(_LINE.findall((folder / FILE).read_text("ascii")))
    except (OSError, ValueError):
        return {}


class Display:
    """A display whose resources are watched; ``fileno`` is readable when they may have changed.

    The X library is asked, since there is no binding of Python that every guest has. It ends this program when the
    display goes away.
    """

    def __init__(self, name: str) -> None:
        """Raises OSError when there is no such display."""
        self._name = name.encode()
        self._x = ctypes.CDLL("libX11.so.6")
        self._x.XOpenDisplay.restype = ctypes.c_void_p
        self._x.XDefaultRootWindow.restype = ctypes.c_ulong
        self._x.XResourceManagerString.restype = ctypes.c_char_p
        self._handle = self._open()
        root = ctypes.c_ulong(self._x.XDefaultRootWindow(self._handle))
        self._x.XSelectInput(self._handle, root, ctypes.c_long(_PROPERTY_CHANGE))
        self._x.XFlush(self._handle)

    def _open(self) -> ctypes.c_void_p:
        handle = self._x.XOpenDisplay(self._name)
        if not handle:
            raise OSError(f"there is no display {self._name.decode()}")
        return ctypes.c_void_p(handle)

    def fileno(self) -> int:
        """The connection to the display."""
        return int(self._x.XConnectionNumber(self._handle))

    def has_changed(self) -> bool:
        """Whether anything was heard since the last call."""
        event = ctypes.create_string_buffer(_EVENT_BYTES)
        heard = False
        while self._x.XPending(self._handle):
            self._x.XNextEvent(self._handle, event)
            heard = True
        return heard

    def dpi(self) -> int:
        """The dots per inch as they are now."""
        # The library reads the resources when it connects, and never again.
        fresh = self._open()
        try:
            found = _DPI.search(self._x.XResourceManagerString(fresh) or b"")
            return int(found[1]) if found else _USUAL
        finally:
            self._x.XCloseDisplay(fresh)
