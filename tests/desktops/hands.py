"""A keyboard and a mouse for a compositor that has none: a Wayland client that speaks three protocols of wlroots'.

virtual-keyboard-unstable-v1, wlr-virtual-pointer-unstable-v1 and input-method-unstable-v2. Tools for that make a new
keyboard for every word, and a program that is still learning of the keyboard misses the first keys.
"""

import os
import socket
import struct
import time
from pathlib import Path

from tests.desktops.keymap import Keymap
from tests.waiting import PATIENCE

DISPLAY = 1
# Requests by their places in the protocols.
SYNC, GET_REGISTRY = 0, 1
BIND = 0
CREATE = 0
KEYMAP, KEY, MODIFIERS = 0, 1, 2
MOTION_ABSOLUTE, BUTTON, AXIS, FRAME, AXIS_SOURCE, AXIS_DISCRETE = 1, 2, 3, 4, 5, 7
COMMIT_STRING, COMMIT = 0, 3
XKB_V1 = 1
# What an input method hears.
ACTIVATE, DEACTIVATE, DONE = 0, 1, 5
# What the kernel calls the buttons that X numbers (linux/input-event-codes.h).
BUTTONS = {1: 0x110, 2: 0x112, 3: 0x111, 8: 0x113, 9: 0x114}
# Turns of the wheel, as X numbers them: the axis, and which way.
WHEEL = {4: (0, -1), 5: (0, 1), 6: (1, -1), 7: (1, 1)}
NOTCH = 15


class Hands:
    """Types and points; each call returns when the compositor has taken it."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._last, self._buffer = DISPLAY, b""
        # The input method, how often it was told something, and whether somebody takes its text.
        self._method, self._told, self._is_active = 0, 0, False
        self._globals: dict[str, tuple[int, int]] = {}
        self._registry = self._new()
        self._ask(DISPLAY, GET_REGISTRY, self._registry)
        self.wait()
        self._seat = self._bind("wl_seat")
        self._keyboard = self._make("zwp_virtual_keyboard_manager_v1")
        self._pointer = self._make("zwlr_virtual_pointer_manager_v1")
        self.layout("us")

    # Acting.

    def layout(self, name: str, options: str = "") -> None:
        """Have another layout of the keyboard."""
        self._keymap = Keymap(name, options)
        text = self._keymap.text + b"\0"
        file = os.memfd_create("keymap")
        os.write(file, text)
        self._ask(self._keyboard, KEYMAP, XKB_V1, len(text), files=[file])
        os.close(file)
        self.wait()

    def lock_group(self, group: int) -> None:
        """Switch to another one of the layouts that the keyboard has ("us,ru")."""
        self._ask(self._keyboard, MODIFIERS, 0, 0, 0, group)
        self.wait()

    def keys(self, *keys: str) -> None:
        """Press keys one after the other: names of X's, or several that are joined by "+"."""
        for key in keys:
            parts = key.split("+") if len(key) > 1 else [key]
            codes = [code for part in parts for code in self._keymap.stroke(part)]
            self._turn(codes, True)
            self._turn(codes[::-1], False)
        self.wait()

    def hold(self, key: str) -> None:
        """Press a key and keep it down."""
        self._turn(self._keymap.stroke(key), True)
        self.wait()

    def let_go(self, key: str) -> None:
        """Let a key up."""
        self._turn(self._keymap.stroke(key)[::-1], False)
        self.wait()

    def point(self, x: int, y: int, width: int, height: int) -> None:
        """Move the pointer to a place on a screen of that size."""
        self._ask(self._pointer, MOTION_ABSOLUTE, _now(), x, y, width, height)
        self._ask(self._pointer, FRAME)
        self.wait()

    def button(self, number: int, pressed: bool) -> None:
        """Press a button of X's number, or let it up; a turn of the wheel happens when it is pressed."""
        if number not in WHEEL:
            self._ask(self._pointer, BUTTON, _now(), BUTTONS[number], int(pressed))
        elif pressed:
            axis, way = WHEEL[number]
            self._ask(self._pointer, AXIS_SOURCE, 0)
            self._ask(self._pointer, AXIS_DISCRETE, _now(), axis, way * NOTCH * 256 & 0xFFFFFFFF, way & 0xFFFFFFFF)
        self._ask(self._pointer, FRAME)
        self.wait()

    def scroll(self, pixels: float) -> None:
        """Scroll down by less than a notch, as a touchpad does."""
        self._ask(self._pointer, AXIS_SOURCE, 1)
        self._ask(self._pointer, AXIS, _now(), 0, int(pixels * 256) & 0xFFFFFFFF)
        self._ask(self._pointer, FRAME)
        self.wait()

    def be_input_method(self) -> None:
        """Give text from now on, to windows that get the keyboard from then on."""
        self._method = self._method or self._make("zwp_input_method_manager_v2")
        self.wait()

    def gives_text(self, text: str) -> bool:
        """Give a text to the window that has the keyboard, if it takes one."""
        self.wait()
        if self._is_active:
            data = text.encode() + b"\0"
            body = struct.pack("=I", len(data)) + data + bytes(-len(data) % 4)
            self._send(self._method, COMMIT_STRING, body)
            self._ask(self._method, COMMIT, self._told)
            self.wait()
        return self._is_active

    def close(self) -> None:
        """Take keyboard and mouse away."""
        self._socket.close()

    def _turn(self, codes: list[int], pressed: bool) -> None:
        for code in codes:
            # The kernel counts keys from eight less than X.
            self._ask(self._keyboard, KEY, _now(), code - 8, int(pressed))
            held = self._keymap.turn(code, pressed)
            self._ask(self._keyboard, MODIFIERS, held.depressed, held.latched, held.locked, held.group)

    # The wire.

    def wait(self) -> None:
        """Wait until all that was asked for has been done; raises RuntimeError when the compositor complains."""
        callback = self._new()
        self._ask(DISPLAY, SYNC, callback)
        while not self._read(callback):
            pass

    def _new(self) -> int:
        self._last += 1
        return self._last

    def _bind(self, interface: str) -> int:
        name, version = self._globals[interface]
        made = self._new()
        text = interface.encode() + b"\0"
        padded = text + bytes(-len(text) % 4)
        body = struct.pack("=II", name, len(text)) + padded + struct.pack("=II", min(version, 1), made)
        self._send(self._registry, BIND, body)
        return made

    def _make(self, manager: str) -> int:
        """Have a manager make a device of the seat's."""
        bound = self._bind(manager)
        made = self._new()
        self._ask(bound, CREATE, self._seat, made)
        return made

    def _ask(self, target: int, request: int, *numbers: int, files: list[int] | None = None) -> None:
        self._send(target, request, struct.pack(f"={len(numbers)}I", *numbers), files)

    def _send(self, target: int, request: int, body: bytes, files: list[int] | None = None) -> None:
        head = struct.pack("=II", target, (len(body) + 8) << 16 | request)
        socket.send_fds(self._socket, [head + body], files or [])

    def _read(self, callback: int) -> bool:
        """Take one event; whether it is that of *callback*."""
        while len(self._buffer) < 8 or len(self._buffer) < struct.unpack_from("=4xI", self._buffer)[0] >> 16:
            data = self._socket.recv(64 << 10)
            if not data:
                raise RuntimeError("the compositor has hung up")
            self._buffer += data
        target, word = struct.unpack_from("=II", self._buffer)
        body, self._buffer = self._buffer[8 : word >> 16], self._buffer[word >> 16 :]
        if target == self._registry and word & 0xFFFF == 0:
            name, size = struct.unpack_from("=II", body)
            interface = body[8 : 8 + size - 1].decode()
            self._globals[interface] = name, struct.unpack_from("=I", body, len(body) - 4)[0]
        elif target == DISPLAY and word & 0xFFFF == 0:
            raise RuntimeError(f"the compositor complains: {body[12:]!r}")
        elif target == self._method:
            self._hear(word & 0xFFFF)
        return bool(target == callback)

    def _hear(self, event: int) -> None:
        """Note what the compositor tells the input method."""
        self._told += event == DONE
        if event in (ACTIVATE, DEACTIVATE):
            self._is_active = event == ACTIVATE


def _now() -> int:
    """Milliseconds of a clock that counts up."""
    return time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF
