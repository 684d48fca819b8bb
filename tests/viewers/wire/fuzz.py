"""A server that lies: real conversations that were changed, said to a session; used by a test and by ``bench.wire``.

All it does comes from a seed, so that what it finds can be tried again.
"""

import dataclasses
import itertools
import random
import struct
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import lz4.block

from qubes_manager.viewers.protocol.dialect import ProtocolBroken
from qubes_manager.viewers.protocol.packets import Box, Draw, FromGuest, Metadata, PixelFormat
from qubes_manager.viewers.protocol.reading import READERS
from qubes_manager.viewers.protocol.session import GuestSession
from qubes_manager.viewers.wire.framing import MAX_ITEM, MAX_PACKET, RENCODE, FrameReader
from qubes_manager.viewers.wire.rencode import Packet, Value
from tests.viewers.wire.corpus import conversations
from tests.viewers.wire.saying import FORMS, HEADER, value_of

# What a session may hold beside twice the bytes that it was given.
MOST_MEMORY = 4 << 20
# Functions that may be called and left between two packets: frames of a piece of 64 KiB, or the values of a packet.
MOST_WORK = 250_000
_SIZES = (0, 1, 7, 8, 255, 65535, MAX_PACKET, MAX_PACKET + 1, MAX_ITEM, MAX_ITEM + 1, (1 << 31) - 1, (1 << 32) - 1)
_NUMBERS = (0, -1, 1, 255, 32767, 32768, 65536, (1 << 31) - 1, 1 << 31, -(1 << 31) - 1, (1 << 63) - 1, -(1 << 63))
_COUNTED = {"unknown", "malformed"} | {
    f"malformed {name}" for name in (*READERS, *(field.name for field in dataclasses.fields(Metadata)))
}
# What the recorded servers had no reason to say.
_MORE: tuple[Packet, ...] = (
    [b"ping", 1_700_000_000_000],
    [b"draw", 1, 0, 0, 40, 40, b"scroll", [[0, 0, 40, 20, 0, 9], [0, 30, 40, 9, 0, -9]], 3, 0, {b"flush": 0}],
    [b"draw", 1, 0, 0, 4, 4, b"void", b"", 4, 0, {}],
    [b"draw", 1, 0, 0, 4, 4, b"rgb24", bytes(48), 4, 12, {b"rgb_format": b"RGB"}],
    [b"draw", 1, 0, 0, 90, 90, b"rgb32", lz4.block.compress(bytes(32400)), 4, 360, {b"rgb_format": b"BGRX", b"lz4": 1}],
    [b"window-move-resize", 1, 5, 5, 40, 40, 1],
    [b"window-resized", 1, 40, 40, 2],
    [b"window-metadata", 1, {b"maximized": True, b"fullscreen": 1, b"role": b"r", b"attention-requested": True}],
    [b"configure-override-redirect", 1, 5, 5, 40, 40],
    [b"initiate-moveresize", 1, 5, 5, 8, 1, 1],
    [b"cursor-data", b"raw", 2, 2, 1, 1, 7, bytes(16), b"name"],
    [b"disconnect", b"server exit", b"bye"],
)


@dataclass(slots=True)
class Findings:
    """What a run cost at most: seconds of the slowest packet, or where that is measured its work and memory.

    *work* is in calls and returns of functions, *memory* in bytes beyond those that were given.
    """

    cases: int = 0
    packets: int = 0
    slowest: float = 0.0
    work: float = 0.0
    memory: int = 0


class Fuzzer:
    """Makes lies of what servers say."""

    def __init__(self) -> None:
        self._raw = conversations()
        self._said = {version: [*_packets(said, FORMS[version]), *_MORE] for version, said in self._raw.items()}

    def try_seed(self, seed: int, found: Findings, *, measured: bool = False) -> None:
        """One conversation; raises whatever the session should not, with a note of the *seed*."""
        try:
            self._try(random.Random(seed), found, measured)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise

    def _try(self, chance: random.Random, found: Findings, measured: bool) -> None:
        version = chance.choice(list(self._said))
        stream = self._stream(chance, version)
        session = GuestSession()
        if FORMS[version] == RENCODE:
            session.assume_old_tools()
        else:
            list(session.feed(f"qubes-manager-gui 1 xpra {version}\n".encode()))
        if measured:
            with _counted_work() as work:
                found.work = max(found.work, _feed(session, stream, chance, found, work))
                found.memory = max(found.memory, tracemalloc.get_traced_memory()[1] - 2 * len(stream))
        else:
            found.slowest = max(found.slowest, _feed(session, stream, chance, found, time.thread_time))
        found.cases += 1
        assert set(session.dropped) <= _COUNTED, "names of the guest's are kept"

    def _stream(self, chance: random.Random, version: str) -> bytes:
        kind, form = chance.randrange(4), FORMS[version]
        if kind == 0:
            return _changed_bytes(chance, self._raw[version])
        if kind == 1:
            return _flood(chance, form)
        said = chance.sample(self._said[version], chance.randint(1, 8))
        if kind == 2:
            return b"".join(_framed(chance, packet, form) for packet in said)
        return b"".join(_framed(chance, _changed_packet(chance, packet), form) for packet in said)


@contextmanager
def _counted_work() -> Iterator[Callable[[], int]]:
    """Count calls and returns of functions, and bytes of memory."""
    work = itertools.count()
    tracemalloc.start()
    sys.setprofile(lambda _frame, _event, _value: next(work) and None)
    try:
        yield lambda: next(work)
    finally:
        sys.setprofile(None)
        tracemalloc.stop()


def _feed(
    session: GuestSession, stream: bytes, chance: random.Random, found: Findings, clock: Callable[[], float]
) -> float:
    """Say all of it; returns what the dearest packet cost, or what came before one, by the *clock*."""
    at, most = 0, 0.0
    try:
        while at < len(stream):
            size = chance.choice((1, 9, 1000, 1 << 16))
            packets = session.feed(stream[at : at + size])
            at += size
            began = clock()
            for packet in packets:
                most = max(most, clock() - began)
                found.packets += 1
                check(packet)
                began = clock()
            most = max(most, clock() - began)
    except ProtocolBroken as broken:
        assert str(broken)
    return most


def check(packet: FromGuest) -> None:
    """Assert that a packet is what packets.py says of it."""
    for field in dataclasses.fields(packet):
        _check_value(getattr(packet, field.name), 63 if field.name == "time" else 31)
    if isinstance(packet, Draw):
        row = packet.box.width * packet.pixel_format.bytes_per_pixel
        assert packet.stride >= row
        assert MAX_ITEM >= len(packet.pixels) >= packet.stride * (packet.box.height - 1) + row


def _check_value(value: object, bits: int) -> None:
    match value:
        case bool() | None | bytes() | PixelFormat():
            pass
        case int():
            assert -(1 << bits) <= value < 1 << bits
        case str():
            assert len(value) <= 1024
        case Box():
            assert 0 < value.width <= 32767
            assert 0 < value.height <= 32767
        case tuple():
            for inside in value:
                _check_value(inside, bits)
        case _:
            assert dataclasses.is_dataclass(value)
            for field in dataclasses.fields(value):
                _check_value(getattr(value, field.name), bits)


def _packets(said: bytes, form: int) -> Iterator[Packet]:
    for packet in FrameReader(form).feed(said):
        assert isinstance(packet, list)
        yield packet


def _changed_bytes(chance: random.Random, said: bytes) -> bytes:
    changed = bytearray(said)
    for _ in range(chance.randint(1, 30)):
        # Near the beginning of the conversation or of what was said last, where there are more frames than pixels.
        at = min(int(chance.expovariate(1 / 3000)), len(changed) - 1)
        at = at if chance.random() < 0.7 else len(changed) - 1 - at
        match chance.randrange(5):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                changed[at] ^= 1 << chance.randrange(8)
            case 2:
                del changed[at : at + chance.randint(1, 20)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 20))
            case _:
                begin = chance.randrange(len(changed))
                changed[at:at] = changed[begin : begin + chance.randint(1, 400)]
    return bytes(changed)


def _flood(chance: random.Random, form: int) -> bytes:
    """Bytes that are cheap to say and dear to read, if anything here is."""
    count = chance.randint(1, 60_000)
    packed = struct.pack("<I", chance.choice((*_SIZES, 36 * 9 * 9))) + chance.randbytes(count // 90)
    body = {
        0: b"\xc1" * count,
        1: b";" + b"\xc0" * 10 * count + b"\x7f",
        2: b";" + b"\x66" * 10 * count + b"\x7f",
        3: b"<" + b"".join(value_of(n) + b"\x00" for n in range(count // 8)) + b"\x7f",
        4: b"9" * count + b":",
        5: b"=" + b"9" * count,
        6: value_of([b"draw", 1, 0, 0, 9, 9, b"scroll", [[0, 0, 9, 9, 0, 1]] * (count // 9), 1, 0, {}]),
        7: value_of(
            [b"new-window", 1, 0, 0, 9, 9, {b"window-type": [b"MENU"] * (count // 5), b"title": b"t" * count}, {}]
        ),
        8: value_of([b"window-icon", 1, 64, 64, b"png", b"\x89PNG\r\n\x1a\n" + bytes(count)]),
        9: value_of([b"draw", 1, 0, 0, 9, 9, b"rgb32", packed, 4, 36, {b"rgb_format": b"BGRX", b"lz4": 1}]),
        10: value_of(
            [b"draw", 1, 0, 0, 32767, 32767, b"rgb32", packed, 4, 1 << 17, {b"rgb_format": b"BGRX", b"lz4": 1}]
        ),
        11: value_of([chance.randbytes(9), 1]),
    }[chance.randrange(12)]
    if chance.random() < 0.2:
        return b"".join(HEADER.pack(b"P", form, 0, n % 16, 0) for n in range(count // 10))
    return HEADER.pack(b"P", form, 0, 0, len(body)) + body


def _changed_packet(chance: random.Random, packet: Packet) -> Packet:
    changed = list(packet)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        changed[at] = _changed_value(chance, changed[at])
        if chance.random() < 0.1:
            del changed[chance.randrange(len(changed)) :]
            changed.append(chance.choice(_NUMBERS))
    return changed


def _changed_value(chance: random.Random, value: Value, depth: int = 0) -> Value:
    if depth < 4 and chance.random() < 0.7:
        if isinstance(value, dict) and value:
            key = chance.choice(list(value))
            return {**value, key: _changed_value(chance, value[key], depth + 1)}
        if isinstance(value, list) and value:
            at = chance.randrange(len(value))
            return [*value[:at], _changed_value(chance, value[at], depth + 1), *value[at + 1 :]]
        if isinstance(value, bytes) and value:
            at = chance.randrange(len(value))
            return value[:at] + chance.randbytes(chance.randrange(9)) + value[at + chance.randrange(9) :]
    strange: tuple[Value, ...] = (None, True, 0.5, float("nan"), b"", b"\xff" * 2000, [], {}, [[[]]], {b"a": {}})
    return chance.choice((*strange, *_NUMBERS))


def _framed(chance: random.Random, packet: Packet, form: int) -> bytes:
    """A packet with its large items before it, as servers say it, and now and then a header that lies."""
    frames, said = [], list(packet)
    for at, value in enumerate(packet):
        if at and isinstance(value, bytes) and len(value) > chance.choice((200, 40_000)):
            frames.append(_header(chance, 0, at, len(value)) + value)
            said[at] = b""
    body = value_of(said)
    frames.append(_header(chance, form, 0, len(body)) + body)
    return b"".join(frames)


def _header(chance: random.Random, form: int, index: int, size: int) -> bytes:
    if chance.random() < 0.95:
        return HEADER.pack(b"P", form, 0, index, size)
    lie = (chance.choice((b"P", b"P", b"Q")), chance.choice((form, 2, 0x11)), chance.choice((0, 0x10)))
    return HEADER.pack(*lie, chance.randrange(20), chance.choice((size, *_SIZES)))
