"""Carries a libvirt stream (a console, a channel) over a socket pair, so that another program can talk through it."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.core.errors import HostCallFailed

_CHUNK = 64 << 10
# Chunks from the guest that wait for the program; while it does not take them, the stream is not read.
_WAITING = 32
_EVENTS = libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_AGAIN = -2  # what virStreamSend and virStreamRecv return when they would block


Opener = Callable[[Handle, libvirt.virStream], object]
_OPEN_TIMEOUT = 10.0


async def relay_stream(connection: LibvirtConnection, uuid: str, what: str, opener: Opener) -> socket.socket:
    """Open a stream on a domain with *opener* and return the end of a socket pair that it is carried over.

    Closing that end ends the stream. Needs libvirt's event thread, which every watching connection has. While libvirt
    has not come back from one attempt there is no second one on that domain. Raises HostCallFailed, TimedOut.
    """
    if uuid in connection.opening:
        raise HostCallFailed(f"cannot {what}: libvirt has not answered the last attempt yet")
    connection.opening.add(uuid)
    is_with_libvirt = threading.Event()

    def start(domain: Handle) -> socket.socket:
        is_with_libvirt.set()
        try:
            stream = domain.connect().newStream(libvirt.VIR_STREAM_NONBLOCK)
            opener(domain, stream)
        finally:
            connection.opening.discard(uuid)
        ours, theirs = socket.socketpair()
        _Relay(stream, ours).start()
        return theirs

    try:
        return await connection.on_domain(uuid, what, start, timeout=_OPEN_TIMEOUT)
    finally:
        if not is_with_libvirt.is_set():
            connection.opening.discard(uuid)


class _Relay:
    """Two threads: one writes what the guest sends, one sends what the program writes."""

    def __init__(self, stream: libvirt.virStream, end: socket.socket) -> None:
        self._stream = stream
        self._end = end
        self._from_guest: queue.Queue[bytes | None] = queue.Queue()
        self._writable = threading.Event()
        self._over = False

    def start(self) -> None:
        """Begin to carry."""
        self._stream.eventAddCallback(_EVENTS, self._on_event, None)
        for target in (self._write, self._read):
            threading.Thread(target=target, name="stream-relay", daemon=True).start()

    def _on_event(self, _stream: object, events: int, _opaque: object) -> None:
        # In libvirt's event thread, which must never wait.
        if events & libvirt.VIR_STREAM_EVENT_WRITABLE:
            self._writable.set()
            self._watch(_EVENTS)
        if events & libvirt.VIR_STREAM_EVENT_READABLE:
            self._receive()
        if events & (libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP):
            self._leave_stream()

    def _receive(self) -> None:
        try:
            data = self._stream.recv(_CHUNK)
        except libvirt.libvirtError:
            data = b""
        if isinstance(data, int):
            return
        if not data:
            self._leave_stream()
            return
        self._from_guest.put(data)
        if self._from_guest.qsize() >= _WAITING:
            self._watch(_EVENTS & ~libvirt.VIR_STREAM_EVENT_READABLE)

    def _watch(self, events: int) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.eventUpdateCallback(events)

    def _write(self) -> None:
        while (data := self._from_guest.get()) is not None:
            try:
                self._end.sendall(data)
            except OSError:
                break
            if self._from_guest.qsize() == _WAITING // 2:
                self._watch(_EVENTS)
        self._finish()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._end.recv(_CHUNK):
                if not self._send(data):
                    self._leave_stream()
                    return
        self._finish()

    def _send(self, data: bytes) -> bool:
        while data and not self._over:
            self._writable.clear()
            try:
                count = self._stream.send(data)
            except libvirt.libvirtError:
                return False
            if count == _AGAIN:
                self._watch(_EVENTS | libvirt.VIR_STREAM_EVENT_WRITABLE)
                self._writable.wait(1)
            else:
                data = data[count:]
        return not self._over

    def _leave_stream(self) -> None:
        """End the stream; the socket ends when the program has got what came before."""
        if self._over:
            return
        self._over = True
        self._writable.set()
        self._from_guest.put(None)
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.eventRemoveCallback()
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.abort()

    def _finish(self) -> None:
        self._leave_stream()
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
