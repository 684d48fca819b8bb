"""Calling services of other domains, for commands that run in a guest.

The service program of this guest (``daemon.py``) asks the host. When that has agreed, it hands over the opened data
port, so that a call's bytes go from the command to the host without a detour.
"""

import os
import select
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from qubes_manager.core.crossing.guest_messages import (
    FAILED,
    REFUSED,
    Accepted,
    Call,
    Cancel,
    End,
    Ended,
    ErrorText,
    FromGuest,
    Sent,
    parse_to_guest,
)
from qubes_manager.core.errors import QubesManagerError, Refused, TimedOut
from qubes_manager.core.json_lines import BadMessage, LineBuffer
from qubes_manager.guest.crossing.bursts import Burst, write_burst

SOCKET = "/run/qubes-manager-crossing/calls"
# Bytes that are moved at a time: as many as a pipe holds; and that are taken from a port.
CHUNK = 1 << 16
_BURST = 1 << 18
# Characters of a service's standard error that are passed on, the first ones.
MAX_ERRORS = 64 << 10
# Seconds that the program may take to say how a call ended whose port has lost the host.
_LAST_WORD = 30.0
_MY_CALL = 0
# What hears, piece by piece as it comes, what the host is waiting for and what the service says to its standard error;
# it is safe to show.
Heard = Callable[[str], object]


class CallFailed(QubesManagerError):
    """A call could not go ahead, or broke off; says why. Commands end with 125 then, with 126 for Refused."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a call ended: the service's exit code, and what else there is to say."""

    code: int
    reason: str = ""


def call(
    service: str,
    argument: str = "",
    target: str = "@default",
    *,
    names: Sequence[str] = (),
    count: int = 0,
    size: int = 0,
    heard: Heard = lambda _text: None,
    path: str = SOCKET,
) -> "Conversation":
    """Ask for *service* in *target* and wait until the host has decided, which a person there may have to.

    *names*, *count* and *size* are for that person: what it is about, how many, and their bytes. Raises Refused by the
    policy or that person, CallFailed when it could not go ahead.
    """
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(path)
    except OSError as error:
        link.close()
        raise CallFailed(
            f"the program that carries calls to other domains does not run here: {error.strerror}"
        ) from error
    conversation = Conversation(link, heard=heard)
    try:
        conversation.begin(Call(_MY_CALL, service, argument, target, tuple(names), count, size))
    except BaseException:
        conversation.close()
        raise
    return conversation


class Conversation:
    """A call in progress. Left as a context manager before its end, it is cancelled.

    A service that runs for another domain has one too: its *port* is open already. *patience*: seconds that the other
    side may let us wait for bytes, or room for them.
    """

    def __init__(
        self,
        link: socket.socket,
        port: int = -1,
        patience: float | None = None,
        heard: Heard = lambda _text: None,
    ) -> None:
        self._link = link
        self._lines = LineBuffer()
        self._port = port
        self._patience = patience
        self._burst = Burst(_BURST)
        self._written = self._read = 0
        self._is_finished = False
        # Bytes that there are to read in all, once the other side has sent them.
        self._total: int | None = None
        self._heard = heard
        self._errors_left = MAX_ERRORS
        self._result: Result | None = None
        # Who it is in the end, by the host's word.
        self.target = ""

    def begin(self, request: Call) -> None:
        """Ask, and wait for the port; raises Refused, CallFailed."""
        self._tell(request)
        while self._port < 0:
            self._hear()
            if self._result:
                reason = self._result.reason or "it was not said why"
                raise Refused(reason) if self._result.code == REFUSED else CallFailed(reason)

    def write(self, data: bytes) -> None:
        """Send bytes to the service; returns when they are on their way.

        Raises CallFailed when it has ended, TimedOut.
        """
        rest = memoryview(data)
        while rest:
            self._hear_what_waits()
            if self._result:
                raise CallFailed(self._result.reason or "the service has ended")
            if not (sent := self._write_some(rest)):
                self._wait(select.POLLOUT)
            rest = rest[sent:]

    def finish(self) -> None:
        """Say that no more is written: the service's input ends then."""
        if not self._is_finished:
            self._is_finished = True
            if not self._result:
                self._tell(Sent(_MY_CALL, self._written))

    def read(self, size: int = CHUNK) -> bytes:
        """Wait for bytes of the service, and return at most *size*; none at their end. Raises CallFailed, TimedOut."""
        while not self._is_all_read:
            if (data := self._read_some(size)) is None:
                self._wait(select.POLLIN)
            elif data:
                return data
            else:
                # The host has closed the port: what there was to read in all, or what went wrong, is about to be said.
                self._raise_if_broken_off()
                self._hear(_LAST_WORD)
        return b""

    def join(self, source: int, target: int, *, clean: Callable[[bytes], bytes] = bytes, drops: bool = False) -> Result:
        """Pass on what can be read from *source*, and write what comes to *target*, until the service has ended.

        Both are descriptors; a *target* that does not block is waited for beside all else. What comes goes through
        *clean*. With *drops* it is thrown away when *target* takes no more. Raises CallFailed, BrokenPipeError.
        """
        there, back = b"", b""
        while not (self._result and self._is_all_read and not back):
            if not (there or self._is_finished) and select.select([source], [], [], 0)[0]:
                there = os.read(source, CHUNK)
                if not there:
                    self.finish()
            sent = self._write_some(there) if there and not self._result else 0
            there = b"" if self._result else there[sent:]
            reads = not back and not self._is_all_read
            data = self._read_some(CHUNK) if reads else None
            if data == b"":
                self._raise_if_broken_off()
                self._hear(_LAST_WORD)
                continue
            back += clean(data) if data else b""
            written = _write_once(target, back, drops=drops)
            back = back[written:]
            if not (sent or data or written):
                self._wait(
                    select.POLLOUT if there else 0,
                    reads=reads,
                    source=-1 if there or self._is_finished or self._result else source,
                    target=target if back else -1,
                )
        assert self._result
        return self._result

    def result(self) -> Result:
        """Wait until the service has ended; what it still sends is left out."""
        self.finish()
        while self._result is None:
            if self._is_all_read:
                self._hear()
            elif (data := self._read_some(CHUNK)) is None:
                self._wait(select.POLLIN)
            elif not data:
                self._hear(_LAST_WORD)
        return self._result

    def cancel(self) -> None:
        """End the call now, on both sides."""
        if self._result is None:
            self._tell(Cancel(_MY_CALL))
            self._result = Result(FAILED, "cancelled")

    def close(self) -> None:
        """Let go of the port; a call that has not ended is cancelled by that."""
        self._link.close()
        if self._port >= 0:
            os.close(self._port)
            self._port = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _is_all_read(self) -> bool:
        return self._total is not None and self._read >= self._total

    def _raise_if_broken_off(self) -> None:
        if self._result:
            raise CallFailed(self._result.reason or "the other side broke off before all was sent")

    def _write_some(self, data: "bytes | memoryview") -> int:
        try:
            sent = write_burst(self._port, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise CallFailed(f"the way to the other side broke off: {error.strerror}") from error
        self._written += sent
        return sent

    def _read_some(self, size: int) -> bytes | None:
        """What is there, at most *size* bytes; None while there is nothing, empty when the host has closed the port."""
        data = self._burst.read(self._port, size if self._total is None else min(size, self._total - self._read))
        self._read += len(data or b"")
        return data

    def _wait(self, event: int, *, reads: bool = False, source: int = -1, target: int = -1) -> None:
        """Wait until something can be done with the port, *source* or *target*, or something is said; hear it."""
        if event & select.POLLIN or reads:
            # What has ended without a number of bytes sends none.
            if self._total is None:
                self._raise_if_broken_off()
            event |= select.POLLIN
        poll = select.poll()
        if event:
            poll.register(self._port, event)
        if source >= 0:
            poll.register(source, select.POLLIN)
        if target >= 0:
            poll.register(target, select.POLLOUT)
        if self._result is None:
            poll.register(self._link, select.POLLIN)
        # Who reads what has come may take its time.
        last_word = _LAST_WORD if event else None
        patience = self._patience if self._result is None else last_word
        happened = dict(poll.poll(None if patience is None else patience * 1000))
        if not happened and self._result is None:
            raise TimedOut(f"the other side has let this wait for {patience:.0f} seconds")
        if not happened:
            raise CallFailed("the other side broke off before all was sent")
        if self._link.fileno() in happened:
            self._hear()
        elif happened.get(self._port, 0) & select.POLLHUP and not event & select.POLLIN:
            # Nothing more can be written; why is about to be said.
            self._hear(_LAST_WORD)

    def _tell(self, message: FromGuest) -> None:
        try:
            self._link.sendall(message.to_json().encode() + b"\n")
        except OSError:
            # What was said last may say why it has gone.
            self._hear(_LAST_WORD)

    def _hear(self, timeout: float | None = None) -> None:
        """Wait for what the service program says, and take note of it."""
        self._link.settimeout(timeout)
        try:
            data, handed_over, _flags, _address = socket.recv_fds(self._link, CHUNK, 1)
        except OSError:
            data, handed_over = b"", []
        finally:
            self._link.settimeout(None)
        for fd in handed_over:
            self._take(fd)
        if not data and self._result is None:
            self._result = Result(FAILED, "the program that carries calls to other domains has ended here")
        for line in self._lines.lines(data):
            try:
                message = parse_to_guest(line)
            except BadMessage as error:
                raise CallFailed(f"the program that carries calls said what is no message: {error}") from error
            match message:
                case Accepted(target=target):
                    self.target = target
                case End(size=size):
                    self._total = size
                case ErrorText(text=text):
                    self._heard(text[: self._errors_left])
                    self._errors_left = max(0, self._errors_left - len(text))
                case Ended(code=code, reason=reason):
                    self._result = Result(code, reason)
                case Cancel(reason=reason):
                    self._result = Result(FAILED, reason or "cancelled")

    def _hear_what_waits(self) -> None:
        while self._result is None and select.select([self._link], [], [], 0)[0]:
            self._hear()

    def _take(self, fd: int) -> None:
        if self._port >= 0:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._port = fd


def _write_once(target: int, data: bytes, *, drops: bool) -> int:
    """How many bytes *target* takes, or is done with."""
    try:
        return os.write(target, data) if data else 0
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        if drops:
            return len(data)
        raise
