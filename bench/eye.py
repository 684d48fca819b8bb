"""Looks at a part of an X screen and presses its keys, fast enough to be measured with: by libX11 and XTEST."""

import ctypes
import hashlib

from tests.desktops.desktop import Box

_Z_PIXMAP = 2


class _Image(ctypes.Structure):
    """The beginning of XImage."""

    _fields_ = [
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("xoffset", ctypes.c_int),
        ("format", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("orders", ctypes.c_int * 5),
        ("bytes_per_line", ctypes.c_int),
    ]


class Eye:
    """One connection to a display."""

    def __init__(self, display: str) -> None:
        self._x11, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        pointer, number = ctypes.c_void_p, ctypes.c_ulong
        self._x11.XOpenDisplay.restype = pointer
        self._x11.XDefaultRootWindow.argtypes, self._x11.XDefaultRootWindow.restype = [pointer], number
        self._x11.XGetImage.argtypes = [
            pointer,
            number,
            *[ctypes.c_int] * 2,
            *[ctypes.c_uint] * 2,
            number,
            ctypes.c_int,
        ]
        self._x11.XGetImage.restype = ctypes.POINTER(_Image)
        for name, arguments in {
            "XFree": [pointer],
            "XFlush": [pointer],
            "XCloseDisplay": [pointer],
            "XStringToKeysym": [ctypes.c_char_p],
            "XKeysymToKeycode": [pointer, number],
        }.items():
            getattr(self._x11, name).argtypes = arguments
        self._x11.XStringToKeysym.restype = number
        self._x11.XKeysymToKeycode.restype = ctypes.c_ubyte
        self._test.XTestFakeKeyEvent.argtypes = [pointer, ctypes.c_uint, ctypes.c_int, number]
        self._display = self._x11.XOpenDisplay(display.encode())
        if not self._display:
            raise RuntimeError(f"the display {display} cannot be opened")
        self._root = self._x11.XDefaultRootWindow(self._display)

    def look(self, box: Box) -> bytes:
        """A digest of what is seen there."""
        image = self._x11.XGetImage(
            self._display, self._root, box.x, box.y, box.width, box.height, 0xFFFFFFFF, _Z_PIXMAP
        )
        size = image.contents.bytes_per_line * image.contents.height
        seen = hashlib.blake2b(ctypes.string_at(image.contents.data, size)).digest()
        self._x11.XFree(image.contents.data)
        self._x11.XFree(image)
        return seen

    def press(self, key: str) -> None:
        """Press a key (X's name) and let it go."""
        code = self._x11.XKeysymToKeycode(self._display, self._x11.XStringToKeysym(key.encode()))
        for is_down in (1, 0):
            self._test.XTestFakeKeyEvent(self._display, code, is_down, 0)
        self._x11.XFlush(self._display)

    def close(self) -> None:
        """Let go of the display."""
        self._x11.XCloseDisplay(self._display)
