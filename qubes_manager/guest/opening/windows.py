"""The windows of the session, as its window manager lists them (EWMH: _NET_CLIENT_LIST, _NET_WM_PID).

Straight from libX11, which every session has; GTK is slow to load, and its bindings cannot read such properties.
"""

import ctypes
from collections.abc import Mapping, Sequence

# From X11/X.h; and how many windows are read of the list.
_ANY_TYPE, _MOST = 0, 4096
_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class NoDisplay(Exception):
    """There is no session that shows windows."""


class Windows:
    """The display of the session; raises NoDisplay when there is none."""

    def __init__(self) -> None:
        try:
            self._x = _load()
        except OSError as error:
            raise NoDisplay from error
        self._display = self._x.XOpenDisplay(None)
        if not self._display:
            raise NoDisplay
        # A window may be gone before it is asked about, and Xlib ends a program for that.
        self._ignore = _HANDLER(lambda _display, _event: 0)
        self._x.XSetErrorHandler(self._ignore)
        self._root = self._x.XDefaultRootWindow(self._display)
        self._list = self._x.XInternAtom(self._display, b"_NET_CLIENT_LIST", 0)
        self._pid = self._x.XInternAtom(self._display, b"_NET_WM_PID", 0)

    def present(self) -> Mapping[int, int]:
        """All windows, each with the process that says that it is its own; 0 for one that says nothing."""
        found = self._property(self._root, self._list)
        return {window: next(iter(self._property(window, self._pid)), 0) for window in found}

    def close(self) -> None:
        """Leave the display."""
        self._x.XCloseDisplay(self._display)

    def _property(self, window: int, name: int) -> Sequence[int]:
        kind, form = ctypes.c_ulong(), ctypes.c_int()
        count, rest = ctypes.c_ulong(), ctypes.c_ulong()
        data = ctypes.POINTER(ctypes.c_ulong)()
        failed = self._x.XGetWindowProperty(
            self._display,
            window,
            name,
            0,
            _MOST,
            0,
            _ANY_TYPE,
            ctypes.byref(kind),
            ctypes.byref(form),
            ctypes.byref(count),
            ctypes.byref(rest),
            ctypes.byref(data),
        )
        if failed or not data:
            return ()
        try:
            # Values of 32 bits come as longs.
            return [data[at] for at in range(count.value)] if form.value == 32 else ()
        finally:
            self._x.XFree(data)


def _load() -> ctypes.CDLL:
    x = ctypes.CDLL("libX11.so.6")
    display, number = ctypes.c_void_p, ctypes.c_ulong
    x.XOpenDisplay.restype, x.XOpenDisplay.argtypes = display, [ctypes.c_char_p]
    x.XCloseDisplay.argtypes = [display]
    x.XDefaultRootWindow.restype, x.XDefaultRootWindow.argtypes = number, [display]
    x.XInternAtom.restype, x.XInternAtom.argtypes = number, [display, ctypes.c_char_p, ctypes.c_int]
    x.XFree.argtypes = [ctypes.c_void_p]
    x.XGetWindowProperty.argtypes = [
        *(display, number, number, ctypes.c_long, ctypes.c_long, ctypes.c_int, number),
        *(ctypes.c_void_p,) * 5,
    ]
    return x
