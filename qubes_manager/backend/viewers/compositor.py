"""A viewer's way to the Wayland compositor: a socket of its own that leads past a filter of what it may use."""

import contextlib
import logging
import os
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.backend.viewers.registry_filter import RegistryFilter
from qubes_manager.core.errors import QubesManagerError, Refused

log = logging.getLogger(__name__)
_CHUNK = 64 << 10
# As many descriptors as libwayland hands over at once.
_MOST_FILES = 28
# Qt has one connection; what the keyboard's layout is, and what the compositor has, is asked for on others.
_MOST_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Way:
    """The socket that a viewer connects to, and a descriptor to inherit: the way lasts until all copies are closed."""

    path: str
    lease: int


@contextlib.contextmanager
def way_to_compositor(path: str) -> Iterator[Way]:
    """A way for a viewer, which goes on after the context as long as the viewer does.

    Threads carry what is said. Raises QubesManagerError when the compositor is not there.
    """
    with _connected(path):
        pass
    folder = Path(tempfile.mkdtemp(prefix="qubes-manager-way-"))
    here, there = socket.socketpair()
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(folder / "wayland"))
        listener.listen(_MOST_CONNECTIONS)
    except BaseException:
        for end in (here, there, listener):
            end.close()
        shutil.rmtree(folder)
        raise
    threading.Thread(target=_serve, args=(here, listener, path, folder), name="ways", daemon=True).start()
    with there:
        yield Way(str(folder / "wayland"), there.fileno())


def _connected(path: str) -> socket.socket:
    compositor = socket.socket(socket.AF_UNIX)
    try:
        compositor.connect(path)
    except OSError as error:
        compositor.close()
        raise QubesManagerError(f"the compositor at {path} does not answer: {error.strerror}") from error
    return compositor


def _serve(lease: socket.socket, listener: socket.socket, path: str, folder: Path) -> None:
    """Let the viewer connect until it has gone."""
    room = threading.Semaphore(_MOST_CONNECTIONS)
    poll = select.poll()
    poll.register(lease, 0)
    poll.register(listener, select.POLLIN)
    # Who knocked may have gone before it is let in.
    listener.setblocking(False)
    try:
        with lease, listener:
            while not any(number == lease.fileno() for number, _event in poll.poll()):
                try:
                    viewer, _address = listener.accept()
                except BlockingIOError:
                    continue
                # It has the socket in its sandbox by now. Gone here, it is not left behind when this program ends.
                shutil.rmtree(folder, ignore_errors=True)
                if room.acquire(blocking=False):
                    threading.Thread(target=_carry, args=(viewer, path, room), name="way", daemon=True).start()
                else:
                    viewer.close()
                    log.warning("a viewer wants more than %d connections to the compositor", _MOST_CONNECTIONS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _carry(viewer: socket.socket, path: str, room: threading.Semaphore) -> None:
    try:
        with viewer, _connected(path) as compositor:
            _carry_between(viewer, compositor)
    except QubesManagerError as error:
        log.warning("a viewer has no screen: %s", error)
    finally:
        room.release()


def _carry_between(viewer: socket.socket, compositor: socket.socket) -> None:
    rules = RegistryFilter()

    def asked(data: bytes) -> bytes:
        rules.check(data)
        return data

    viewer.setblocking(False)
    compositor.setblocking(False)
    ways = (_Way(viewer, compositor, asked), _Way(compositor, viewer, rules.admit))
    try:
        while all(way.is_open for way in ways):
            _turn(ways)
    except Refused as refused:
        log.warning("a viewer was cut off from the compositor: %s", refused)
    except OSError as error:
        log.debug("the way to the compositor ended: %s", error)
    finally:
        for way in ways:
            way.close()


def _turn(ways: "tuple[_Way, _Way]") -> None:
    """Wait until something can go on, and let it."""
    poll = select.poll()
    there, back = ways
    poll.register(there.source, there.wants | back.wants_room)
    poll.register(back.source, back.wants | there.wants_room)
    events = dict(poll.poll())
    ready = {number for number, event in events.items() if event & (select.POLLIN | select.POLLOUT)}
    if not ready:
        # One of both has gone.
        there.is_open = False
    for way in ways:
        if way.has_waiting and way.target.fileno() in ready:
            way.write()
        elif not way.has_waiting and way.source.fileno() in ready:
            way.read()


class _Way:
    """One direction. Nothing is read while something waits, so what waits is one chunk, with its descriptors."""

    def __init__(self, source: socket.socket, target: socket.socket, admit: Callable[[bytes], bytes]) -> None:
        self.source, self.target = source, target
        self._admit = admit
        self._waiting = b""
        self._files: list[int] = []
        self.is_open = True

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def wants(self) -> int:
        """What its source is watched for."""
        return 0 if self._waiting else select.POLLIN

    @property
    def wants_room(self) -> int:
        """What its target is watched for."""
        return select.POLLOUT if self._waiting else 0

    def read(self) -> None:
        """Take what is there; raises Refused, OSError."""
        try:
            data, files, flags, _address = socket.recv_fds(self.source, _CHUNK, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        self._files += files
        if flags & socket.MSG_CTRUNC:
            raise Refused(f"more than {_MOST_FILES} descriptors at once")
        if not data:
            self.is_open = False
            return
        self._waiting = self._admit(data)
        # Descriptors come with the first bytes of the message that they belong to, never later.
        if len(self._files) > 4 * _MOST_FILES:
            raise Refused("descriptors without a message")
        if self._waiting:
            self.write()

    def write(self) -> None:
        """Hand on what the target takes; raises OSError."""
        try:
            sent = socket.send_fds(self.target, [self._waiting], self._files[:_MOST_FILES])
        except BlockingIOError:
            return
        for file in self._files[:_MOST_FILES]:
            os.close(file)
        del self._files[:_MOST_FILES]
        self._waiting = self._waiting[sent:]

    def close(self) -> None:
        """Close what was never handed on."""
        for file in self._files:
            os.close(file)
        self._files = []
