"""One guest's part in a call: its number there, its data port, and what the guest has said of it."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from qubes_manager.core.crossing.guest_messages import (
    MAX_SENTENCE,
    Accepted,
    Cancel,
    Ended,
    ErrorText,
    FromGuest,
    Ready,
    Sent,
    Start,
)
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import GuestError, TimedOut
from qubes_manager.core.text import one_line
from qubes_manager.services.broker.guests.data_ports import DataPort
from qubes_manager.services.broker.guests.session import DomainSession

T = TypeVar("T")
# Seconds after a guest has let go of its data port in which it may still say why, and for which one whose call has
# ended may go on reading: QEMU throws away what it has not read when we hang up.
_LAST_WORDS, _LINGER = 3.0, 120.0


class GuestEnd:
    """What the guest says of the call *number* comes here, until ``close`` or ``let_go``."""

    def __init__(self, session: DomainSession, number: int) -> None:
        self.session = session
        self.number = number
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.sent: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[Ended] = loop.create_future()
        # The first thing that went wrong, in words; it ends the call.
        self.fault: asyncio.Future[str] = loop.create_future()
        # It has been told how its call has ended.
        self.is_over = False
        self.on_error_text: Callable[[str], object] = lambda _text: None
        self._port: DataPort | None = None
        self._watcher: asyncio.Task[None] | None = None
        session.listeners[number] = self

    @property
    def name(self) -> str:
        """Of its domain."""
        return self.session.domain.name

    @property
    def stands_still(self) -> bool:
        """Whether its domain is paused now, and cannot do what it owes."""
        return self.session.domain.state is not DomainState.RUNNING

    @property
    def port(self) -> DataPort:
        """The data port, after ``connect``."""
        assert self._port
        return self._port

    async def connect(self, port: DataPort) -> None:
        """Have a port that was taken, and connect to it; raises HostCallFailed, TimedOut, NotFound."""
        self._port = port
        await self.session.ports.connect(port)
        self._watcher = asyncio.get_running_loop().create_task(self._watch_port(port))

    def begin(self, message: Accepted | Start) -> None:
        """Tell the guest to open its data port."""
        self.port.is_told = True
        self.session.say(message)

    def hear(self, message: FromGuest) -> None:
        """Take what the guest says; what it says twice, or after the end, counts for nothing."""
        match message:
            case Ready():
                if self._port and self._port.is_told:
                    self._port.was_opened = True
                _set(self.ready, None)
            case Sent(size=size):
                _set(self.sent, size)
            case Ended():
                if self._port and not self.ready.done():
                    # It could not be started, and will not open it.
                    self._port.is_told = False
                _set(self.ended, message)
            case ErrorText(text=text):
                if not self.ended.done():
                    self.on_error_text(text)
            case Cancel(reason=reason):
                self.fail(f"“{self.name}” has stopped it" + (f": {reason}" if reason else ""))

    def fail(self, reason: str) -> None:
        """Something is wrong on this side, or the user wants no more of it."""
        _set(self.fault, reason)
        # It may be waiting for a port.
        self.session.ports.moved.set()

    def raise_fault(self) -> None:
        """Raise GuestError when something is wrong on this side."""
        if self.fault.done():
            raise GuestError(self.fault.result())

    async def until(self, wanted: "asyncio.Future[T]", what: str, patience: float) -> T:
        """Wait for *wanted*; raises GuestError when something goes wrong before, TimedOut after *patience* seconds."""
        either: set[asyncio.Future[Any]] = {wanted, self.fault}
        await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if wanted.done():
            return wanted.result()
        self.raise_fault()
        raise TimedOut(f"“{self.name}” has not {what} within {patience:.0f} s")

    async def until_begun(self, patience: float) -> None:
        """Wait until the guest has opened its port; raises GuestError when its service cannot be started, TimedOut."""
        either: set[asyncio.Future[Any]] = {self.ready, self.ended, self.fault}
        await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if self.ended.done() and not self.ready.done():
            ended = self.ended.result()
            raise GuestError(ended.reason or f"the service could not be started in “{self.name}” (code {ended.code})")
        await self.until(self.ready, "opened its port", 0)

    def tell_end(self, code: int, reason: str) -> None:
        """Tell a caller how its call has ended."""
        self.is_over = True
        self.session.say(Ended(self.number, code, one_line(reason, MAX_SENTENCE)))

    def tell_cancel(self, reason: str) -> None:
        """Tell a callee to stop, unless it has ended."""
        if not self.ended.done():
            self.session.say(Cancel(self.number, one_line(reason, MAX_SENTENCE)))

    def close(self) -> None:
        """Hang up; what the guest says from now on is passed over."""
        self._forget()
        if self._watcher:
            self._watcher.cancel()
        if self._port:
            self._port.close()

    def let_go(self) -> None:
        """Hang up when the guest has let go of its port, which it does when it has read all; with patience.

        The number may be another call's from now on.
        """
        self._forget()
        self.session.afterwards.spawn(self._linger())

    def _forget(self) -> None:
        """Hear nothing any more of what the guest says of the call."""
        if self.session.listeners.get(self.number) is self:
            del self.session.listeners[self.number]

    async def _linger(self) -> None:
        try:
            # Tools that have gone, or begun anew, have let go of all.
            if self._port and self.ready.done() and self.session.is_ready:
                async with asyncio.timeout(_LINGER):
                    await self._port.is_left.wait()
        except TimeoutError:
            pass
        finally:
            self.close()

    async def _watch_port(self, port: DataPort) -> None:
        """A guest that lets go of its port before it has said what it wrote will not write it any more."""
        last_words: set[asyncio.Future[Any]] = {self.sent, self.ended}
        is_gone = False
        while not is_gone:
            await port.is_left.wait()
            await asyncio.wait(last_words, timeout=_LAST_WORDS, return_when=asyncio.FIRST_COMPLETED)
            if self.sent.done() or self.ended.done():
                return
            # Else what was heard was late, and about an earlier use.
            is_gone = port.is_left.is_set()
        self.fail(f"“{self.name}” has closed its end")


def _set(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)
