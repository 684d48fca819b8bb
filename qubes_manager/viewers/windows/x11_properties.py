"""Properties of X windows that Qt has no words for, set over Qt's own connection."""

import ctypes
import sys

from PySide6.QtGui import QGuiApplication, QNativeInterface

# Of the X protocol: atoms that are always there, and numbers.
_WM_CLASS, _STRING = 67, 31
_REPLACE, _CLIENT_MESSAGE, _PROPERTY_CHANGE_MASK = 0, 33, 1 << 22
_MESSAGE_BYTES = 20


class _Cookie(ctypes.Structure):
    _fields_ = (("sequence", ctypes.c_uint),)


class _AtomReply(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("pad", ctypes.c_uint8),
        ("sequence", ctypes.c_uint16),
        ("length", ctypes.c_uint32),
        ("atom", ctypes.c_uint32),
    )


class _FocusReply(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("revert_to", ctypes.c_uint8),
        ("sequence", ctypes.c_uint16),
        ("length", ctypes.c_uint32),
        ("focus", ctypes.c_uint32),
    )


class _Screens(ctypes.Structure):
    # The first field of a screen is its root window.
    _fields_ = (("first", ctypes.POINTER(ctypes.c_uint32)), ("rem", ctypes.c_int), ("index", ctypes.c_int))


class X11Properties:
    """Speaks through libxcb, which Qt has loaded."""

    def __init__(self) -> None:
        application = QGuiApplication.instance()
        assert isinstance(application, QGuiApplication)
        native = application.nativeInterface()
        assert isinstance(native, QNativeInterface.QX11Application)
        self._connection = ctypes.c_void_p(native.connection())
        self._xcb = ctypes.CDLL("libxcb.so.1")
        self._xcb.xcb_intern_atom.restype = _Cookie
        self._xcb.xcb_intern_atom_reply.restype = ctypes.POINTER(_AtomReply)
        self._xcb.xcb_get_input_focus.restype = _Cookie
        self._xcb.xcb_get_input_focus_reply.restype = ctypes.POINTER(_FocusReply)
        self._xcb.xcb_get_setup.restype = ctypes.c_void_p
        self._xcb.xcb_setup_roots_iterator.restype = _Screens
        self._atoms: dict[str, int] = {}

    def set_class(self, window: int, names: tuple[str, str]) -> None:
        """Set WM_CLASS, by which desktops group windows: *names* are instance and class."""
        self._put(window, _WM_CLASS, _STRING, b"".join(name.encode("latin-1", "replace") + b"\0" for name in names))

    def input_focus(self) -> int:
        """The window that has the keyboard; 0 without an answer."""
        cookie = self._xcb.xcb_get_input_focus(self._connection)
        reply = self._xcb.xcb_get_input_focus_reply(self._connection, cookie, None)
        focused: int = reply.contents.focus if reply else 0
        ctypes.CDLL(None).free(reply)
        return focused

    def end_startup(self, window: int, startup_id: str) -> None:
        """Say that *window* is what was launched with *startup_id*, and that nobody waits for it any more."""
        self._put(window, self._atom("_NET_STARTUP_ID"), self._atom("UTF8_STRING"), startup_id.encode())
        setup = ctypes.c_void_p(self._xcb.xcb_get_setup(self._connection))
        root = self._xcb.xcb_setup_roots_iterator(setup).first[0]
        quoted = startup_id.replace("\\", "\\\\").replace('"', '\\"')
        words = f'remove: ID="{quoted}"'.encode() + b"\0"
        kind = self._atom("_NET_STARTUP_INFO_BEGIN")
        for begin in range(0, len(words), _MESSAGE_BYTES):
            part = words[begin : begin + _MESSAGE_BYTES].ljust(_MESSAGE_BYTES, b"\0")
            head = (
                bytes((_CLIENT_MESSAGE, 8, 0, 0)) + window.to_bytes(4, sys.byteorder) + kind.to_bytes(4, sys.byteorder)
            )
            self._xcb.xcb_send_event(
                self._connection, 0, ctypes.c_uint32(root), ctypes.c_uint32(_PROPERTY_CHANGE_MASK), head + part
            )
            kind = self._atom("_NET_STARTUP_INFO")
        self._xcb.xcb_flush(self._connection)

    def _put(self, window: int, name: int, kind: int, data: bytes) -> None:
        sizes = (ctypes.c_uint8(8), ctypes.c_uint32(len(data)), data)
        self._xcb.xcb_change_property(
            self._connection, ctypes.c_uint8(_REPLACE), *map(ctypes.c_uint32, (window, name, kind)), *sizes
        )

    def _atom(self, name: str) -> int:
        if name not in self._atoms:
            cookie = self._xcb.xcb_intern_atom(self._connection, 0, ctypes.c_uint16(len(name)), name.encode())
            reply = self._xcb.xcb_intern_atom_reply(self._connection, cookie, None)
            self._atoms[name] = reply.contents.atom if reply else 0
            ctypes.CDLL(None).free(reply)
        return self._atoms[name]
