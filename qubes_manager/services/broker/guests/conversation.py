"""A call of which this machine is one side: its bytes, and how it ended."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from qubes_manager.core.crossing.guest_messages import Call, End, Ended
from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import GuestError, TimedOut
from qubes_manager.services.broker.guests.guest_end import GuestEnd
from qubes_manager.services.broker.guests.patience import Patience

# Characters of a service's standard error that are kept.
_MAX_ERRORS = 64 << 10
_CHUNK = 256 << 10
# Bytes that nobody waits for which a service may send before its end.
_MOST_REST = 16 << 20
# Seconds between two looks whether the guest lets this machine wait for too long.
_TICK = 0.5


@dataclass(frozen=True, slots=True)
class Result:
    """The exit code of a service (126: refused, 125: it could not be carried out), and why where that is known."""

    code: int
    reason: str = ""


class HostConversation:
    """A call in progress between this machine and a guest. Nothing is buffered but what the kernel does.

    The guest may send *most* bytes.

    All of it raises GuestError when the call has failed, TimedOut when the guest owes something too long (Patience).
    Leaving ``async with`` cancels it, unless it has ended.
    """

    def __init__(self, end: GuestEnd, most: int | None = None) -> None:
        self._guest = end
        self._most = most
        self._patience = Patience(lambda: end.stands_still)
        self._socket = end.port.end
        self._errors = ""
        self._is_finished = self._is_closed = False
        # Bytes that went to the guest, and that came from it.
        self.written = self.received = 0
        # Is told how many those are together.
        self.on_moved: Callable[[int], object] = lambda _count: None
        end.on_error_text = self._on_error_text

    @property
    def error_text(self) -> str:
        """What the service has said to its standard error, safe to show; the first 64 Ki characters."""
        return self._errors

    async def write(self, data: bytes) -> None:
        """Send bytes, and wait until the kernel has taken them."""
        for start in range(0, len(data), _CHUNK):
            piece = memoryview(data)[start : start + _CHUNK]
            self._guest.raise_fault()
            if self._guest.ended.done():
                raise GuestError(self._last_word(self._guest.ended.result()))
            await self._send(piece)
            self.written += len(piece)
            self.on_moved(self.written + self.received)

    async def finish(self) -> None:
        """Send no more."""
        if not self._is_finished:
            self._is_finished = True
            self._guest.session.say(End(self._guest.number, self.written))

    async def read(self, most: int = _CHUNK, *, is_owed: bool = False) -> bytes:
        """What the guest has sent, at most *most* bytes; empty at the end.

        Where *is_owed* it should not be silent, though it has not announced more.
        """
        data = await self._next(most, is_owed=is_owed)
        if data is None:
            raise GuestError(self._last_word(self._guest.ended.result()))
        return data

    async def result(self, *, is_owed: bool = False) -> Result:
        """Wait for the end of the service; some bytes that it still sends are thrown away.

        It may take its time, unless *is_owed*.
        """
        await self.finish()
        rest = 0
        while data := await self._next(_CHUNK, is_owed=is_owed):
            rest += len(data)
            if rest > _MOST_REST:
                raise GuestError(f"“{self._guest.name}” goes on sending what nobody waits for")
        if not await self._happens({self._guest.ended, self._guest.fault}):
            limit = self._patience.limit
            raise TimedOut(f"“{self._guest.name}” has not said how its service ended within {limit:.0f} s")
        ended = await self._guest.until(self._guest.ended, "said how its service ended", 0)
        self._is_closed = True
        self._guest.let_go()
        return Result(ended.code, ended.reason)

    async def cancel(self, reason: str = "") -> None:
        """Give the call up."""
        if not self._is_closed:
            self._is_closed = True
            self._guest.tell_cancel(reason)
            self._guest.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cancel(str(error or ""))

    async def _happens(self, waiting: "set[asyncio.Future[Any]]") -> bool:
        """Wait for one of *waiting*, which the guest owes; returns whether it has come in time."""
        since = time.monotonic()
        while not self._patience.is_over(since):
            done, _ = await asyncio.wait(waiting, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return True
        return False

    async def _next(self, most: int, *, is_owed: bool = False) -> bytes | None:
        """What the guest has sent; empty at its end, None when the service has ended without saying where that is."""
        guest, loop = self._guest, asyncio.get_running_loop()
        while True:
            total = guest.sent.result() if guest.sent.done() else None
            if total is None and guest.ended.done():
                return None
            if total is not None and self.received >= total:
                if self.received > total:
                    raise GuestError(f"“{guest.name}” sent more than the {total} bytes that it announced")
                return b""
            guest.raise_fault()
            readable = loop.create_task(_readable(self._socket))
            news: set[asyncio.Future[Any]] = {readable, guest.fault}
            try:
                if total is None:
                    news |= {guest.sent, guest.ended}
                if total is None and not is_owed:
                    await asyncio.wait(news, return_when=asyncio.FIRST_COMPLETED)
                elif not await self._happens(news):
                    what = "sent anything for" if total is None else "sent what it announced within"
                    raise TimedOut(f"“{guest.name}” has not {what} {self._patience.limit:.0f} s")
            finally:
                await _end(readable)
            if not readable.cancelled():
                try:
                    data = self._socket.recv(most)
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise GuestError(f"“{guest.name}” is gone: {error.strerror}") from error
                if not data:
                    raise GuestError(f"“{guest.name}” is gone")
                self.received += len(data)
                if self._most is not None and self.received > self._most:
                    raise GuestError(f"“{guest.name}” sent more than the {self._most} bytes that are allowed")
                self.on_moved(self.written + self.received)
                return data

    async def _send(self, piece: memoryview) -> None:
        guest = self._guest
        loop = asyncio.get_running_loop()
        sending = loop.create_task(loop.sock_sendall(self._socket, piece))
        try:
            either: set[asyncio.Future[Any]] = {sending, guest.fault, guest.ended}
            if not await self._happens(either):
                raise TimedOut(f"“{guest.name}” has not read what it was sent for {self._patience.limit:.0f} s")
            if sending.done():
                sending.result()
        except OSError as error:
            raise GuestError(f"“{guest.name}” is gone: {error.strerror}") from error
        finally:
            await _end(sending)

    def _last_word(self, ended: Ended) -> str:
        return ended.reason or f"the service in “{self._guest.name}” has ended (exit code {ended.code})"

    def _on_error_text(self, text: str) -> None:
        self._errors = (self._errors + text)[:_MAX_ERRORS]


# Serves a call of a domain: it may leave the conversation unfinished.
HostService = Callable[[Domain, Call, HostConversation], Awaitable[Result]]


async def _readable(end: socket.socket) -> bool:
    """Wait until there is something to receive. Nothing is lost when that is cancelled, as it is in ``sock_recv``."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(end, ready.set)
    try:
        return await ready.wait()
    finally:
        loop.remove_reader(end)


async def _end(task: "asyncio.Task[Any]") -> None:
    """Have a task end that has not."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
