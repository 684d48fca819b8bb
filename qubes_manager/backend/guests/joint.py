"""Moving bytes from one guest's port to another's, without looking at them.

Between two sockets the bytes go through a pipe of the kernel's (splice(2)), so that they never come into this program;
where the kernel does not splice these, through a buffer. All of it runs on the loop: many pumps need no threads.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import time

from qubes_manager.core.errors import GuestError

# Bytes that one pump holds at most, and that it moves before others have their turn.
CAPACITY = 1 << 20
_PIECE = 64 << 10


class Pump:
    """One direction: from *source* to *target*, two connected sockets, of which the names are told in errors.

    ``over`` gets the number of bytes when all have gone that ``expect`` announced; GuestError when the source sends
    more than that or more than *limit*, or when one of the two is gone. Both sockets are set not to block.
    """

    def __init__(
        self, source: socket.socket, target: socket.socket, source_name: str, target_name: str, limit: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._source, self._target = source, target
        self._source_name, self._target_name = source_name, target_name
        self._limit = limit
        self._held: _Pipe | _Buffer = _Pipe()
        self._total: int | None = None
        self._taken = 0
        # Bytes that the target has got, and when the last ones moved (time.monotonic).
        self.moved = 0
        self.last_move = time.monotonic()
        self.over: asyncio.Future[int] = self._loop.create_future()
        self._is_writing = False
        for end in (source, target):
            end.setblocking(False)
        self._loop.add_reader(source, self._on_readable)

    @property
    def is_waiting(self) -> bool:
        """Whether there are bytes that somebody owes: the source what it announced, or the target room for them."""
        return not self.over.done() and (bool(self._held.count) or (self._total or 0) > self._taken)

    @property
    def late_name(self) -> str:
        """Whom it is waiting for, if for anybody."""
        return self._target_name if self._held.count else self._source_name

    @property
    def taken(self) -> int:
        """Bytes that came from the source."""
        return self._taken

    def expect(self, total: int) -> None:
        """The source says that it sends *total* bytes in all."""
        if self.over.done():
            return
        if self._taken > total:
            self._fail(f"“{self._source_name}” sent more than the {total} bytes that it announced")
            return
        self._total = total
        self.last_move = time.monotonic()
        self._go_on()

    def close(self) -> None:
        """Move nothing any more; what is held is thrown away."""
        self._loop.remove_reader(self._source)
        if self._is_writing:
            self._loop.remove_writer(self._target)
            self._is_writing = False
        self._held.close()
        if not self.over.done():
            self.over.cancel()

    def _on_readable(self) -> None:
        most = min(CAPACITY, (self._limit if self._total is None else self._total) + 1 - self._taken)
        try:
            count = self._take(most)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"“{self._source_name}” is gone: {error.strerror}")
            return
        if not count:
            self._fail(f"“{self._source_name}” is gone")
            return
        self._taken += count
        self.last_move = time.monotonic()
        if self._total is not None and self._taken > self._total:
            self._fail(f"“{self._source_name}” sent more than the {self._total} bytes that it announced")
        elif self._taken > self._limit:
            self._fail(f"“{self._source_name}” sent more than the {self._limit} bytes that are allowed")
        else:
            self._go_on()

    def _take(self, most: int) -> int:
        try:
            return self._held.take(self._source, most)
        except OSError as error:
            if error.errno != errno.EINVAL or isinstance(self._held, _Buffer):
                raise
        self._held.close()
        self._held = _Buffer()
        return self._held.take(self._source, most)

    def _go_on(self) -> None:
        """Give away what is held; read more only then."""
        if self.over.done():
            return
        try:
            while self._held.count:
                self.moved += self._held.give(self._target)
                self.last_move = time.monotonic()
        except BlockingIOError:
            self._write(True)
            return
        except OSError as error:
            self._fail(f"“{self._target_name}” is gone: {error.strerror}")
            return
        self._write(False)
        if self._taken == self._total:
            self._loop.remove_reader(self._source)
            self.over.set_result(self.moved)

    def _write(self, is_writing: bool) -> None:
        if is_writing == self._is_writing:
            return
        self._is_writing = is_writing
        if is_writing:
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._target, self._go_on)
        else:
            self._loop.remove_writer(self._target)
            self._loop.add_reader(self._source, self._on_readable)

    def _fail(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_exception(GuestError(reason))
            # Who waits for the other direction may never ask for this one.
            self.over.exception()
        self.close()


class _Pipe:
    """Holds bytes in the kernel."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Big ones have a limit for all of a user's (pipe(7)); beyond that it stays as small as it is.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, CAPACITY)
        self._is_open = True
        self.count = 0

    def take(self, source: socket.socket, most: int) -> int:
        """Take at most *most* bytes; 0 at the end. Raises BlockingIOError, OSError."""
        count = os.splice(source.fileno(), self._in, most, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        self.count += count
        return count

    def give(self, target: socket.socket) -> int:
        """Give some bytes; returns how many. Raises BlockingIOError, OSError."""
        count = os.splice(self._out, target.fileno(), self.count, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        self.count -= count
        return count

    def close(self) -> None:
        """Throw away what is held."""
        if self._is_open:
            self._is_open = False
            os.close(self._in)
            os.close(self._out)


class _Buffer:
    """Holds bytes in this program; as _Pipe."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def count(self) -> int:
        """How many are held."""
        return len(self._data)

    def take(self, source: socket.socket, most: int) -> int:
        """Take at most *most* bytes; 0 at the end. Raises BlockingIOError, OSError."""
        data = source.recv(min(most, _PIECE))
        self._data += data
        return len(data)

    def give(self, target: socket.socket) -> int:
        """Give some bytes; returns how many. Raises BlockingIOError, OSError."""
        count = target.send(self._data)
        self._data = self._data[count:]
        return count

    def close(self) -> None:
        """Throw away what is held."""
        self._data = b""
