"""Lines and bytes of a call, in turns on the same stream: bounded, and never waited for too long."""

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from qubes_manager.core.crossing.file_messages import INCOMING, Failure, FileMessage, parse_file_message
from qubes_manager.core.crossing.ports import STALL
from qubes_manager.core.errors import QubesManagerError, Refused, TimedOut
from qubes_manager.core.json_lines import MAX_LINE, BadMessage, Message
from qubes_manager.guest.archive.files import write_all
from qubes_manager.guest.archive.names import MAX_PART

_CHUNK = 1 << 16
Kind = TypeVar("Kind", bound=FileMessage)


class Stream(Protocol):
    """The bytes of a call, as a service sees them. Both raise QubesManagerError or OSError when it breaks off."""

    def read(self, size: int, /) -> bytes:
        """Wait for bytes, and return at most *size*; none at the end."""

    def write(self, data: bytes, /) -> None:
        """Send bytes."""


class Incoming:
    """What the other side of a call sends. *read* returns at most as many bytes as asked for, none at the end.

    Of it more is asked for than is wanted at once: an archive of many small files is read in many small pieces.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._rest = memoryview(b"")

    def read(self, most: int) -> bytes:
        """At most *most* bytes; none at the end."""
        if not self._rest and most >= _CHUNK:
            return self._read(most)
        rest = self._rest or memoryview(self._read(_CHUNK))
        self._rest = rest[most:]
        return bytes(rest[:most])

    def message(self) -> FileMessage:
        """The message on the next line; raises Refused when there is none."""
        try:
            return parse_file_message(self._line())
        except BadMessage as error:
            raise Refused(f"the other side says what makes no sense: {error}") from error

    def last_message(self) -> FileMessage | None:
        """The message on the next line, if the other side says anything more; raises Refused."""
        self._rest = memoryview(self.read(_CHUNK))
        return self.message() if self._rest else None

    def expect(self, kind: type[Kind]) -> Kind:
        """The next message, which must be of this kind; raises Refused, with the other side's reason if it has one."""
        return expected(self.message(), kind)

    def _line(self) -> bytes:
        line = b""
        while b"\n" not in line:
            data = self.read(_CHUNK)
            if not data:
                raise Refused("the other side has ended without a word")
            line += data
            if len(line) > MAX_LINE + _CHUNK:
                raise Refused("the other side says too much")
        line, _, rest = line.partition(b"\n")
        self._rest = memoryview(rest + self._rest)
        return line


def expected(message: FileMessage, kind: type[Kind]) -> Kind:
    """The message, which must be of that kind; raises Refused, with the other side's reason if it has one."""
    if isinstance(message, Failure):
        raise Refused(message.reason)
    if not isinstance(message, kind):
        raise Refused(f"the other side says “{message.TYPE}”, and “{kind.TYPE}” was expected")
    return message


def line(message: Message) -> bytes:
    """A message as it is sent."""
    return message.to_json().encode() + b"\n"


class StandardStreams:
    """Those of a service that runs with pipes."""

    def __init__(self) -> None:
        self.read = standard_input()
        self.write = send


def standard_input(timeout: float = STALL) -> Callable[[int], bytes]:
    """Reads of a service's input; raise TimedOut when nothing comes for *timeout* seconds."""
    poll = select.poll()
    source = sys.stdin.fileno()
    poll.register(source, select.POLLIN)

    def read(most: int) -> bytes:
        if not poll.poll(timeout * 1000):
            raise TimedOut(f"nothing has come for {timeout:.0f} seconds")
        return os.read(source, most)

    return read


def send(data: bytes) -> None:
    """Write to a service's output at once; raises BrokenPipeError."""
    write_all(sys.stdout.fileno(), data)


def clear_up_when_ended() -> None:
    """Let a service that is told to end go through its ``finally`` clauses; there are two seconds for that."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def plain_reason(error: Exception) -> str:
    """Why something failed, in words for people."""
    if isinstance(error, QubesManagerError):
        return str(error)
    if isinstance(error, BrokenPipeError):
        return "the other side has gone"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    return str(error)


def incoming_folder(source: str) -> Path:
    """Where files from the domain *source* land, made when it is not there; raises Refused, OSError."""
    if not source.isprintable() or "/" in source or source in ("", ".", "..") or len(os.fsencode(source)) > MAX_PART:
        raise Refused(f"“{source[:80]!a}” is no name of a domain")
    folder = Path.home() / INCOMING / source
    if not folder.parent.exists():
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        _bookmark(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _bookmark(folder: Path) -> None:
    """Let file managers show *folder* at their side, as far as that can be."""
    bookmarks = Path.home() / ".config/gtk-3.0/bookmarks"
    with suppress(OSError):
        bookmarks.parent.mkdir(parents=True, exist_ok=True)
        with bookmarks.open("a", encoding="utf-8") as file:
            file.write(f"{folder.as_uri()}\n")


def source_domain() -> str:
    """Who calls the service that runs, by the host's word."""
    return os.environ.get("QREXEC_REMOTE_DOMAIN", "")
