"""The layouts of an X server's keyboard, and word of their change, by a connection of our own."""

import ctypes
from typing import Any

from qubes_manager.viewers.input.layout_names import layout_of_property
from qubes_manager.viewers.protocol.packets import KeyboardLayout

_PROPERTY_CHANGE_MASK = 1 << 22
_STRING = 31
# Of 32 bits each.
_MOST_UNITS = 1024
# More than the largest event has.
_EVENT_BYTES = 256


class X11Layout:
    """Reads the root window's property that ``setxkbmap`` and desktops keep; raises OSError when X is not there."""

    def __init__(self) -> None:
        self._x = _library()
        self._display = self._x.XOpenDisplay(None)
        if not self._display:
            raise ConnectionError("the X server does not answer")
        self._root = self._x.XDefaultRootWindow(self._display)
        self._atom = self._x.XInternAtom(self._display, b"_XKB_RULES_NAMES", False)
        self._x.XSelectInput(self._display, self._root, _PROPERTY_CHANGE_MASK)
        self._layout: KeyboardLayout | None = None
        self._has_changed = True

    def fileno(self) -> int:
        """What becomes readable when something changed."""
        return int(self._x.XConnectionNumber(self._display))

    def read(self) -> KeyboardLayout | None:
        """The layout now; None when it has no names."""
        event = ctypes.create_string_buffer(_EVENT_BYTES)
        while self._x.XPending(self._display):
            self._x.XNextEvent(self._display, event)
            self._has_changed = True
        if self._has_changed:
            self._has_changed = False
            self._layout = layout_of_property(self._property())
        return self._layout

    def close(self) -> None:
        """Hear no more."""
        self._x.XCloseDisplay(self._display)

    def _property(self) -> bytes:
        kind, shape = ctypes.c_ulong(), ctypes.c_int()
        count, left, value = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_void_p()
        self._x.XGetWindowProperty(
            self._display,
            self._root,
            self._atom,
            0,
            _MOST_UNITS,
            False,
            _STRING,
            *map(ctypes.byref, (kind, shape, count, left, value)),
        )
        if not value.value:
            return b""
        data = ctypes.string_at(value.value, count.value)
        self._x.XFree(value)
        return data


def _library() -> Any:
    library = ctypes.CDLL("libX11.so.6")
    pointer, number, long = ctypes.c_void_p, ctypes.c_ulong, ctypes.c_long
    for name, result, *arguments in (
        ("XOpenDisplay", pointer, ctypes.c_char_p),
        ("XDefaultRootWindow", number, pointer),
        ("XInternAtom", number, pointer, ctypes.c_char_p, ctypes.c_int),
        ("XSelectInput", ctypes.c_int, pointer, number, ctypes.c_long),
        ("XConnectionNumber", ctypes.c_int, pointer),
        ("XPending", ctypes.c_int, pointer),
        ("XNextEvent", ctypes.c_int, pointer, pointer),
        # The last five are given back.
        ("XGetWindowProperty", ctypes.c_int, pointer, number, number, long, long, ctypes.c_int, number, *[pointer] * 5),
        ("XFree", ctypes.c_int, pointer),
        ("XCloseDisplay", ctypes.c_int, pointer),
    ):
        function = getattr(library, str(name))
        function.restype, function.argtypes = result, arguments
    return library
