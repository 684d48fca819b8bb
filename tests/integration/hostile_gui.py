"""Runs inside a guest: asks the display server for what a domain must not get. Talks to X by ctypes alone."""

import ctypes
import sys
import time

x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = ctypes.c_void_p
Pointer, Number = ctypes.c_void_p, ctypes.c_ulong
for name, arguments in {
    "XDefaultRootWindow": [Pointer],
    "XCreateSimpleWindow": [Pointer, Number, *[ctypes.c_int] * 4, ctypes.c_uint, Number, Number],
    "XMapWindow": [Pointer, Number],
    "XFlush": [Pointer],
    "XInternAtom": [Pointer, ctypes.c_char_p, ctypes.c_int],
    "XChangeProperty": [Pointer, Number, Number, Number, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int],
    "XChangeWindowAttributes": [Pointer, Number, Number, ctypes.c_void_p],
}.items():
    getattr(x11, name).argtypes = arguments
x11.XDefaultRootWindow.restype = x11.XCreateSimpleWindow.restype = x11.XInternAtom.restype = Number
display = x11.XOpenDisplay(None)
root = x11.XDefaultRootWindow(display)


class Attributes(ctypes.Structure):
    """XSetWindowAttributes, of which only override_redirect is used."""

    _fields_ = [
        *((f"word{n}", ctypes.c_ulong) for n in range(2)),
        *((f"words{n}", ctypes.c_ulong) for n in range(2)),
        *((f"gravity{n}", ctypes.c_int) for n in range(3)),
        *((f"planes{n}", ctypes.c_ulong) for n in range(2)),
        ("save_under", ctypes.c_int),
        *((f"mask{n}", ctypes.c_long) for n in range(2)),
        ("override_redirect", ctypes.c_int),
        *((f"rest{n}", ctypes.c_ulong) for n in range(2)),
    ]


def atom(name: str) -> int:
    number: int = x11.XInternAtom(display, name.encode(), 0)
    return number


def put(window: int, name: str, kind: str, data: bytes, size: int = 8) -> None:
    x11.XChangeProperty(
        display, window, atom(name), atom(kind), size, 0, data, len(data) * 8 // (64 if size == 32 else 8)
    )


def atoms(*names: str) -> bytes:
    return b"".join(atom(name).to_bytes(8, "little") for name in names)


def window(title: bytes, x: int = 0, y: int = 0, width: int = 200, height: int = 100, unmanaged: bool = False) -> int:
    made: int = x11.XCreateSimpleWindow(display, root, x, y, width, height, 0, 0, 0xFFFFFF)
    put(made, "_NET_WM_NAME", "UTF8_STRING", title)
    put(made, "WM_NAME", "STRING", title[:1000])
    if unmanaged:
        attributes = Attributes(override_redirect=1)
        x11.XChangeWindowAttributes(display, made, 1 << 9, ctypes.byref(attributes))
    return made


def show(made: int) -> None:
    x11.XMapWindow(display, made)
    x11.XFlush(display)


match sys.argv[1]:
    case "fullscreen":
        made = window(b"hostile-fullscreen")
        put(made, "_NET_WM_STATE", "ATOM", atoms("_NET_WM_STATE_FULLSCREEN", "_NET_WM_STATE_ABOVE"), 32)
        show(made)
    case "unmanaged":
        show(window(b"hostile-unmanaged", width=2000, height=2000, unmanaged=True))
    case "menu":
        show(window(b"hostile-menu", 300, 300, unmanaged=True))
    case "titles":
        for title in (b"t" * (1 << 20), b"\x1b[31mred\x1b]0;vault\x07", "‮desrever [vault]".encode(), "Grüße".encode()):
            show(window(title))
    case "away":
        show(window(b"hostile-away", -5000, -5000))
    case "many":
        for number in range(int(sys.argv[2])):
            show(window(b"hostile-many-%d" % number, number % 50, number % 50, 30, 30))
print("shown", flush=True)
time.sleep(10000)
