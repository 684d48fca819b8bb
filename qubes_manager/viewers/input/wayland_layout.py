"""The map of a Wayland compositor's keyboard, and word of its change, by a connection of our own: Qt tells neither.

Every client that asks for a seat's keyboard is told the map, whether or not it has a window; which of the layouts is
typed in is told to whoever has the keyboard alone. This is the little of the protocol that it takes, without libwayland
(which calls back, for which a sandbox has no memory): a message is an object's number, its own length and opcode, and
arguments of 32 bits; texts have their length before them. https://wayland.freedesktop.org/docs/html/
"""

import contextlib
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from qubes_manager.viewers.input.layout_names import layout_of_descriptions
from qubes_manager.viewers.input.xkb import Keymap
from qubes_manager.viewers.protocol.packets import KeyboardLayout

_WORD, _HEAD = struct.Struct("=I"), struct.Struct("=IHH")
# Our numbers of objects; keyboards come after them.
_DISPLAY, _REGISTRY, _SYNC, _SEAT = 1, 2, 3, 4
# Opcodes of requests.
_ASK_SYNC, _GET_REGISTRY, _BIND, _GET_KEYBOARD = 0, 1, 0, 1
# Of what an object says the first is all that concerns us: error, global, done, capabilities, keymap.
_FIRST = 0
_HAS_KEYBOARD, _XKB_V1 = 2, 1
_MOST_BYTES, _MOST_FDS, _MOST_KEYMAP = 4096, 8, 1 << 20
# Seconds for a compositor to answer, which waits for the processor too.
_TIMEOUT = 10


class WaylandLayout:
    """Holds a seat's keyboard; raises OSError when the compositor is not there or says nothing."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._buffer = b""
        self._fds: list[int] = []
        self._bound = False
        self._keyboard, self._last = 0, _SEAT
        self._layout: KeyboardLayout | None = None
        # The answers to the registry, then to the seat.
        self._waits = 2
        try:
            self._socket.settimeout(_TIMEOUT)
            self._socket.connect(_address())
            self._send(_DISPLAY, _GET_REGISTRY, _WORD.pack(_REGISTRY))
            self._send(_DISPLAY, _ASK_SYNC, _WORD.pack(_SYNC))
            while self._waits > 0:
                self._receive()
            self._socket.setblocking(False)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """What becomes readable when something changed."""
        return self._socket.fileno()

    def read(self) -> KeyboardLayout | None:
        """The layout now; None when its map has no names that are known. Raises OSError when the compositor is gone."""
        with contextlib.suppress(BlockingIOError):
            self._receive()
        return self._layout

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _send(self, target: int, opcode: int, arguments: bytes) -> None:
        self._socket.sendall(_HEAD.pack(target, opcode, _HEAD.size + len(arguments)) + arguments)

    def _receive(self) -> None:
        data, fds, _flags, _address = socket.recv_fds(self._socket, _MOST_BYTES, _MOST_FDS)
        self._fds += fds
        if not data:
            raise ConnectionError("the Wayland compositor has closed the connection")
        self._buffer += data
        for target, opcode, arguments in self._messages():
            if opcode == _FIRST:
                self._hear(target, arguments)

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        while len(self._buffer) >= _HEAD.size:
            target, opcode, size = _HEAD.unpack_from(self._buffer)
            if len(self._buffer) < max(size, _HEAD.size):
                return
            arguments, self._buffer = self._buffer[_HEAD.size : size], self._buffer[size:]
            yield target, opcode, arguments

    def _hear(self, target: int, arguments: bytes) -> None:
        if target == _DISPLAY:
            raise ConnectionError("the Wayland compositor reports an error")
        if target == _REGISTRY:
            self._hear_of_global(arguments)
        elif target == _SYNC:
            # Without a seat nobody will answer for it.
            self._waits -= 1 if self._bound else 2
        elif target == _SEAT:
            self._hear_of_seat(_WORD.unpack_from(arguments)[0])
        else:
            self._take_keymap(*struct.unpack_from("=II", arguments))
            self._waits -= 1

    def _hear_of_global(self, arguments: bytes) -> None:
        name, length = struct.unpack_from("=II", arguments)
        interface = arguments[8 : 8 + length]
        if interface == b"wl_seat\0" and not self._bound:
            self._bound = True
            text = _WORD.pack(length) + interface.ljust(-(-length // 4) * 4, b"\0")
            self._send(_REGISTRY, _BIND, _WORD.pack(name) + text + struct.pack("=II", 1, _SEAT))

    def _hear_of_seat(self, capabilities: int) -> None:
        if not capabilities & _HAS_KEYBOARD:
            # The keyboard that we had is dead; a seat that has none yet says so first.
            self._keyboard = 0
            self._waits -= 1
        elif not self._keyboard:
            self._last += 1
            self._keyboard = self._last
            self._send(_SEAT, _GET_KEYBOARD, _WORD.pack(self._keyboard))

    def _take_keymap(self, form: int, size: int) -> None:
        if not self._fds:
            return
        fd = self._fds.pop(0)
        try:
            if form != _XKB_V1 or not 0 < size <= _MOST_KEYMAP:
                return
            with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) as area:
                text = area[:].partition(b"\0")[0]
        finally:
            os.close(fd)
        keymap = Keymap.of_text(text)
        self._layout = layout_of_descriptions(keymap.group_names) if keymap else None


def _address() -> str:
    name = Path(os.environ.get("WAYLAND_DISPLAY", "wayland-0"))
    return str(Path(os.environ.get("XDG_RUNTIME_DIR", "/")) / name)
