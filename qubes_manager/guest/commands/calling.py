"""Calls to other domains as the commands make them, and how they say what went wrong."""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from qubes_manager.core.crossing.guest_messages import FAILED, REFUSED
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.commands.terminal_progress import TerminalProgress
from qubes_manager.guest.crossing.client import CallFailed, Heard, Result, call
from qubes_manager.guest.exchange import plain_reason

# Something was left out, or the service failed; the user stopped it (128 and the signal's number).
FAULT, INTERRUPTED = 1, 130


class Conversation(Protocol):
    """A call in progress, as ``crossing.client`` has it; all but *target* raise CallFailed."""

    @property
    def target(self) -> str:
        """Who it is in the end."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def finish(self) -> None:
        """Send no more."""
        ...

    def read(self, size: int = ...) -> bytes:
        """At most *size* bytes of the service; none at their end."""
        ...

    def join(self, source: int, target: int, *, clean: Callable[[bytes], bytes] = ..., drops: bool = ...) -> Result:
        """Pass on what can be read from *source*, and write what comes to *target*, until the service has ended."""
        ...

    def result(self) -> Result:
        """Wait until the service has ended."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Caller(Protocol):
    """Begins calls, as ``crossing.client.call`` does; raises Refused, CallFailed."""

    def __call__(
        self,
        service: str,
        argument: str = "",
        target: str = "@default",
        *,
        names: Sequence[str] = (),
        count: int = 0,
        size: int = 0,
        heard: Heard = ...,
    ) -> Conversation: ...


class NotAllowed(QubesManagerError):
    """The policy, or who was asked, refused a call."""


class Command:
    """A command that calls other domains: its name, for what it says, and what begins its calls.

    What the host waits for meanwhile, and what a service says to its standard error, it says as it comes: line by line
    under its own name, a service's as what that domain says, or with *is_plain* as it is.
    """

    def __init__(self, name: str, caller: Caller = call, *, is_plain: bool = False) -> None:
        self.name = name
        self._caller = caller
        self._is_plain = is_plain
        self._begun_line = ""
        # Who speaks now; none while it is the host.
        self._speaker = ""
        self._progress = TerminalProgress(0, is_wanted=False)

    def progress(self, total: int, *, is_wanted: bool = True) -> TerminalProgress:
        """How far a transfer of *total* bytes is; what is said meanwhile stands on lines of its own."""
        self._progress = TerminalProgress(total, is_wanted=is_wanted)
        return self._progress

    def call(
        self,
        service: str,
        argument: str = "",
        target: str = "@default",
        *,
        names: Sequence[str] = (),
        count: int = 0,
        size: int = 0,
    ) -> Conversation:
        """Begin a call; raises NotAllowed, CallFailed."""
        self._speaker = ""
        try:
            conversation = self._caller(
                service, argument, target, names=names, count=count, size=size, heard=self._hear
            )
        except Refused as error:
            raise NotAllowed(str(error)) from error
        # What it says is not to be taken for this command's own words.
        self._speaker = conversation.target
        return conversation

    def say(self, text: str) -> None:
        """Tell the user something, on a line."""
        self._progress.clear()
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def problem(self, path: str, reason: str) -> None:
        """Tell the user why a file stays behind."""
        self.say(f"{shown_name(path)}: {reason}")

    def run(self, work: Callable[[], int]) -> int:
        """Do *work*; returns the exit code, after what went wrong was said."""
        try:
            try:
                return work()
            finally:
                self._hear("\n" * bool(self._begun_line))
        except NotAllowed as error:
            self.say(f"not allowed: {error}")
            return REFUSED
        except CallFailed as error:
            self.say(str(error))
            return FAILED
        except (QubesManagerError, OSError) as error:
            self.say(plain_reason(error))
            return FAULT
        except KeyboardInterrupt:
            self.say("stopped")
            return INTERRUPTED

    def _hear(self, text: str) -> None:
        if self._is_plain:
            print(text, end="", file=sys.stderr, flush=True)
            return
        *lines, self._begun_line = (self._begun_line + text).split("\n")
        for line in lines:
            if line.strip():
                self.say(f"“{self._speaker}” says: {line}" if self._speaker else line)
