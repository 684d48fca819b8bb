"""A stream carried over a socket pair. The stream is a stand-in, which can stall, end and fail as no guest would."""

import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.stream_relay import relay_stream
from tests.waiting import PATIENCE, until

UUID = "11111111-1111-4111-8111-111111111111"
READABLE, WRITABLE = libvirt.VIR_STREAM_EVENT_READABLE, libvirt.VIR_STREAM_EVENT_WRITABLE
CHUNK = bytes(64 << 10)
WOULD_BLOCK = -2


class Stream:
    """Stands for libvirt's stream and for the domain that it belongs to."""

    def __init__(self) -> None:
        self.says: deque[bytes | libvirt.libvirtError] = deque()
        self.heard = bytearray()
        self.takes = 5
        self.stalls = False
        self.watched = 0
        self.ended = threading.Event()
        self._callback: Callable[[object, int, object], None] = lambda *_: None

    def connect(self) -> "Stream":
        return self

    def newStream(self, _flags: int) -> "Stream":
        return self

    def eventAddCallback(self, events: int, callback: Callable[[object, int, object], None], _opaque: object) -> None:
        self.watched, self._callback = events, callback

    def eventUpdateCallback(self, events: int) -> None:
        self.watched = events

    def eventRemoveCallback(self) -> None:
        self.watched = 0

    def abort(self) -> None:
        self.ended.set()

    def recv(self, _count: int) -> bytes | int:
        if not self.says:
            return WOULD_BLOCK
        said = self.says.popleft()
        if isinstance(said, libvirt.libvirtError):
            raise said
        return said

    def send(self, data: bytes) -> int:
        if self.stalls:
            return WOULD_BLOCK
        self.heard += data[: self.takes]
        return min(len(data), self.takes)

    def happens(self, event: int) -> None:
        """What libvirt's event thread does when it is asked to watch for *event*."""
        if self.watched & event:
            self._callback(self, event, None)

    def say(self, *pieces: bytes | libvirt.libvirtError) -> None:
        self.says += pieces
        while self.says and self.watched & READABLE:
            self.happens(READABLE)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
async def end(driver: LibvirtConnection, stream: Stream) -> AsyncIterator[socket.socket]:
    """The program's end of the socket pair."""
    driver.handles[UUID] = stream
    end = await relay_stream(driver, UUID, "open a console", lambda _domain, _stream: None)
    end.settimeout(PATIENCE)
    yield end
    end.close()


def read_all(end: socket.socket) -> bytes:
    got = b""
    while data := end.recv(1 << 20):
        got += data
    return got


def test_what_the_guest_says_arrives(stream: Stream, end: socket.socket) -> None:
    stream.say(b"login: ")
    assert end.recv(100) == b"login: "


async def test_what_the_program_says_goes_on_when_the_stream_takes_again(stream: Stream, end: socket.socket) -> None:
    stream.stalls = True
    end.sendall(b"more than five bytes")
    await until(lambda: stream.watched & WRITABLE)
    assert stream.heard == b""
    stream.stalls = False
    stream.happens(WRITABLE)
    await until(lambda: stream.heard == b"more than five bytes")
    assert not stream.watched & WRITABLE


async def test_a_program_that_does_not_read_stops_the_stream_and_loses_nothing(
    stream: Stream, end: socket.socket
) -> None:
    stream.say(*[CHUNK] * 100)
    assert 30 < len(stream.says) < 70
    assert not stream.watched & READABLE
    got = 0
    while got < 100 * len(CHUNK):
        got += len(end.recv(1 << 20))
        stream.say()
    assert got == 100 * len(CHUNK)


@pytest.mark.parametrize("over", [b"", libvirt.libvirtError("the guest is gone")], ids=["end", "error"])
async def test_the_last_words_of_a_stream_that_ends_are_heard(
    stream: Stream, end: socket.socket, over: bytes | libvirt.libvirtError
) -> None:
    words = [CHUNK] * 20
    stream.say(*words, over)
    assert len(read_all(end)) == 20 * len(CHUNK)
    assert stream.ended.wait(PATIENCE)


def test_a_stream_that_hangs_up_ends_the_socket(stream: Stream, end: socket.socket) -> None:
    stream.happens(libvirt.VIR_STREAM_EVENT_HANGUP)
    assert read_all(end) == b""


async def test_a_program_that_closes_its_end_ends_the_stream(stream: Stream, end: socket.socket) -> None:
    end.close()
    assert stream.ended.wait(PATIENCE)
    await until(lambda: stream.watched == 0)


async def test_a_stalled_stream_does_not_keep_the_relay_when_it_fails(stream: Stream, end: socket.socket) -> None:
    stream.stalls = True
    end.sendall(b"x")
    await until(lambda: stream.watched & WRITABLE)
    stream.happens(libvirt.VIR_STREAM_EVENT_ERROR)
    await until(lambda: not [t for t in threading.enumerate() if t.name == "stream-relay"])
