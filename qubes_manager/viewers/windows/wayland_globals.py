"""What a Wayland compositor offers, and how large its units are, which Qt does not tell: it is asked for that alone.

The protocol's wire format is wayland.freedesktop.org's "Appendix A": words of the machine's own byte order, each
message an object, then its size and opcode in one word, then its arguments.
"""

import os
import socket
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

DECORATIONS, FRACTIONS = "zxdg_decoration_manager_v1", "wp_fractional_scale_manager_v1"
_OUTPUT, _OUTPUT_NAMES = "wl_output", "zxdg_output_manager_v1"
_DISPLAY = 1
# wl_display.sync and .get_registry, wl_registry.bind, zxdg_output_manager_v1.get_xdg_output.
_SYNC, _GET_REGISTRY, _BIND, _GET_OUTPUT = 0, 1, 0, 1
# wl_registry.global; wl_output.geometry and .mode; zxdg_output_v1.logical_size and .name.
_GLOBAL, _GEOMETRY, _MODE, _LOGICAL_SIZE, _NAME = 0, 0, 1, 1, 3
_IS_CURRENT = 1
# Since that version wl_surface tells of its scale.
_PREFERRED_SCALE_SINCE = 6
# Of the interfaces, those versions are enough, and known here.
_VERSION = 2
# Compositors tell scales in such parts (wp_fractional_scale_v1).
_SCALE_PARTS = 120
_HEADER = struct.Struct("=II")
# Seconds for a compositor to answer, which waits for the processor too.
_PATIENCE = 10.0
_MOST = 1 << 18


def read_globals(environment: Mapping[str, str]) -> dict[str, int]:
    """The interfaces that the compositor of *environment* has, with their versions; none without an answer.

    Blocks for 2 s at most.
    """
    try:
        with _connected(environment) as talk:
            return {offered.interface: offered.version for offered in talk.globals()}
    except (OSError, ValueError, struct.error):
        return {}


def tells_scales(found: Mapping[str, int]) -> bool:
    """Whether a compositor that has these interfaces tells each window its scale."""
    return FRACTIONS in found or found.get("wl_compositor", 0) >= _PREFERRED_SCALE_SINCE


def read_ratios(environment: Mapping[str, str]) -> dict[str, float]:
    """How many pixels a unit has on each screen by its name, where that need not be a whole number.

    Empty where the compositor tells windows whole numbers alone, and without an answer. Blocks for seconds at most.
    """
    try:
        with _connected(environment) as talk:
            return _ratios(talk)
    except (OSError, ValueError, struct.error):
        return {}


@dataclass(frozen=True, slots=True)
class _Global:
    number: int
    interface: str
    version: int


class _Talk:
    """One connection; objects that are made get its next numbers."""

    def __init__(self, compositor: socket.socket) -> None:
        self._compositor = compositor
        self._last = _DISPLAY
        self._data, self._seen = b"", 0
        self._registry = 0

    def make(self, parent: int, opcode: int, arguments: bytes = b"", after: bytes = b"") -> int:
        """Have *parent* make an object, whose number comes between the arguments; returns it."""
        self._last += 1
        arguments += struct.pack("=I", self._last) + after
        self._compositor.sendall(_HEADER.pack(parent, _HEADER.size + len(arguments) << 16 | opcode) + arguments)
        return self._last

    def globals(self) -> list[_Global]:
        """All that the compositor offers."""
        self._registry = self.make(_DISPLAY, _GET_REGISTRY)
        told = [words for sender, opcode, words in self.answers() if (sender, opcode) == (self._registry, _GLOBAL)]
        return [_global(words) for words in told]

    def bind(self, offered: _Global) -> int:
        """Take an object that is offered."""
        version = min(offered.version, _VERSION)
        head = struct.pack("=I", offered.number) + _text(offered.interface) + struct.pack("=I", version)
        return self.make(self._registry, _BIND, head)

    def answers(self) -> Iterator[tuple[int, int, bytes]]:
        """Object, opcode and arguments of what comes, until all that was asked so far is answered."""
        asked = self.make(_DISPLAY, _SYNC)
        while self._seen < _MOST:
            while len(self._data) < _HEADER.size or len(self._data) < _size(self._data):
                if not (more := self._compositor.recv(1 << 16)):
                    return
                self._data, self._seen = self._data + more, self._seen + len(more)
            sender, word = _HEADER.unpack_from(self._data)
            arguments = self._data[_HEADER.size : _size(self._data)]
            self._data = self._data[_size(self._data) :]
            if sender == asked:
                return
            yield sender, word & 0xFFFF, arguments


@contextmanager
def _connected(environment: Mapping[str, str]) -> Iterator[_Talk]:
    name = environment.get("WAYLAND_DISPLAY") or "wayland-0"
    # An absolute path stands for itself.
    path = os.path.join(environment.get("XDG_RUNTIME_DIR", ""), name)  # noqa: PTH118
    with socket.socket(socket.AF_UNIX) as compositor:
        compositor.settimeout(_PATIENCE)
        compositor.connect(path)
        yield _Talk(compositor)


def _ratios(talk: _Talk) -> dict[str, float]:
    offered = talk.globals()
    names = next((one for one in offered if one.interface == _OUTPUT_NAMES), None)
    if names is None or FRACTIONS not in {one.interface for one in offered}:
        return {}
    manager = talk.bind(names)
    # By the object that tells its place and name, the one that tells its pixels.
    outputs = dict[int, int]()
    for one in offered:
        if one.interface == _OUTPUT:
            output = talk.bind(one)
            outputs[talk.make(manager, _GET_OUTPUT, after=struct.pack("=I", output))] = output
    told = defaultdict[int, dict[int, bytes]](dict)
    for sender, opcode, words in talk.answers():
        if sender not in outputs.values() or opcode != _MODE or struct.unpack_from("=I", words)[0] & _IS_CURRENT:
            told[sender][opcode] = words
    return dict(_ratio(told[logical], told[output]) for logical, output in outputs.items())


def _ratio(logical: Mapping[int, bytes], output: Mapping[int, bytes]) -> tuple[str, float]:
    """A screen's name and ratio, of what was told of it; raises ValueError when that is not all that it takes."""
    try:
        units = struct.unpack("=ii", logical[_LOGICAL_SIZE])
        _flags, *pixels, _refresh = struct.unpack("=Iiii", output[_MODE])
        # The last of many; odd ones lie on their side.
        (transform,) = struct.unpack("=i", output[_GEOMETRY][-4:])
        name = _read_text(logical[_NAME])
    except KeyError as missing:
        raise ValueError("a screen was told of by halves") from missing
    if min(*units, *pixels) <= 0:
        raise ValueError("a screen without a size")
    ratio = pixels[transform % 2] / units[0]
    return name, round(ratio * _SCALE_PARTS) / _SCALE_PARTS


def _size(data: bytes) -> int:
    word: int = _HEADER.unpack_from(data)[1]
    return max(_HEADER.size, word >> 16)


def _global(words: bytes) -> _Global:
    (number,) = struct.unpack_from("=I", words)
    (version,) = struct.unpack("=I", words[-4:])
    return _Global(number, _read_text(words[4:]), version)


def _text(text: str) -> bytes:
    """A text as an argument: its length with the nought at its end, then both, up to a whole word."""
    data = text.encode() + b"\0"
    return struct.pack("=I", len(data)) + data + bytes(-len(data) % 4)


def _read_text(words: bytes) -> str:
    (length,) = struct.unpack_from("=I", words)
    return words[4 : 4 + length].rstrip(b"\0").decode("utf-8", "replace")
