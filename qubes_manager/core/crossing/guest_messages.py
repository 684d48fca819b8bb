"""What is said through a domain's request port, between the broker and the guest's own service program.

A line of JSON each, as all messages between our programs. Each side begins with an empty line and ``Hello``, so that
what is left of an earlier talk is passed over. It says so again when it begins anew (a program that was started again,
another broker): whoever hears a Hello that ``begins`` forgets all calls of the talk before, and answers with one that
does not. So either side may repeat its own that was not answered. The same messages, but for Hello, go between the
guest's program and the commands that its user runs.

A *call* is a service that one domain asks of another. Each side numbers its own, so that no number means two: a guest
those that it makes, below FIRST_STARTED, the broker those that it starts in a guest, from there on. The bytes of a call
go through a data port, both ways and unframed, so how many there are is said here: ``Sent`` by who wrote them, ``End``
to who reads them. A guest closes a data port when it has read all that ``End`` names, or has no use for it; only then
may the host close its own end, since QEMU throws away what the guest has not taken by then. Nothing that a guest says
is trusted.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from qubes_manager.core.json_lines import Fields, Message, Wire

VERSION = 1
MAX_CALL = 1 << 31
FIRST_STARTED = 1 << 30
# Characters of names of services and arguments (as in Qubes), of domains, of users, and of what is said to people.
MAX_SERVICE, MAX_ARGUMENT, MAX_DOMAIN, MAX_USER, MAX_SENTENCE = 64, 512, 64, 32, 400
# Names of files that a call tells of, and characters of each.
MAX_NAMES, MAX_NAME = 20, 200
MAX_ERROR_TEXT = 4000
# Exit codes of callers, as in Qubes: refused by the policy, and failed before the service could end.
REFUSED, FAILED = 126, 125


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The first message of each side: the version of these messages, and a digest of the guest's tools.

    One that *begins* a talk is answered with one that does not.
    """

    TYPE: ClassVar[str] = "hello"
    version: int = VERSION
    tools: str = ""
    begins: bool = True

    @classmethod
    def of(cls, fields: Fields) -> "Hello":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("version", 1000), fields.text("tools", 64), fields.truth("begins"))


@dataclass(frozen=True, slots=True)
class Call(Message):
    """A guest asks for *service* in *target* (a name or a token of the policy's; ``@default`` is no target).

    For whoever is asked for leave: *names* are files or what else it is about, *count* how many there are, *size* their
    bytes as far as they are known.
    """

    TYPE: ClassVar[str] = "call"
    call: int
    service: str
    argument: str = ""
    target: str = "@default"
    names: tuple[str, ...] = field(default=())
    count: int = 0
    size: int = 0

    @classmethod
    def of(cls, fields: Fields) -> "Call":
        """The message in *fields*; raises BadMessage."""
        return cls(
            fields.number("call", MAX_CALL),
            fields.text("service", MAX_SERVICE),
            fields.text("argument", MAX_ARGUMENT),
            fields.text("target", MAX_DOMAIN),
            fields.sentences("names", MAX_NAMES, MAX_NAME),
            fields.number("count"),
            fields.number("size"),
        )


@dataclass(frozen=True, slots=True)
class Start(Message):
    """The broker starts *service* in a guest for *source*, its bytes through data port *port*, as *user*.

    *user* empty is the guest's ordinary one. *target* is what the caller had asked for.
    """

    TYPE: ClassVar[str] = "start"
    call: int
    service: str
    argument: str
    source: str
    target: str
    port: int
    user: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "Start":
        """The message in *fields*; raises BadMessage."""
        return cls(
            fields.number("call", MAX_CALL),
            fields.text("service", MAX_SERVICE),
            fields.text("argument", MAX_ARGUMENT),
            fields.text("source", MAX_DOMAIN),
            fields.text("target", MAX_DOMAIN),
            fields.number("port", 100),
            fields.text("user", MAX_USER),
        )


@dataclass(frozen=True, slots=True)
class Accepted(Message):
    """To the caller: the call goes ahead through data port *port*, to *target* in the end."""

    TYPE: ClassVar[str] = "accepted"
    call: int
    port: int
    target: str

    @classmethod
    def of(cls, fields: Fields) -> "Accepted":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL), fields.number("port", 100), fields.text("target", MAX_DOMAIN))


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """By a guest, caller or callee: it has opened the data port anew, bytes may come."""

    TYPE: ClassVar[str] = "ready"
    call: int

    @classmethod
    def of(cls, fields: Fields) -> "Ready":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL))


@dataclass(frozen=True, slots=True)
class Sent(Message):
    """By a guest: it has written all that it will, *size* bytes."""

    TYPE: ClassVar[str] = "sent"
    call: int
    size: int

    @classmethod
    def of(cls, fields: Fields) -> "Sent":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL), fields.number("size"))


@dataclass(frozen=True, slots=True)
class End(Message):
    """To a guest: the other side sends no more, and *size* bytes have gone to it in all."""

    TYPE: ClassVar[str] = "end"
    call: int
    size: int

    @classmethod
    def of(cls, fields: Fields) -> "End":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL), fields.number("size"))


@dataclass(frozen=True, slots=True)
class StandsStill(Message):
    """To a callee, now and then: the caller's domain is paused. What it owes may come when that goes on."""

    TYPE: ClassVar[str] = "still"
    call: int

    @classmethod
    def of(cls, fields: Fields) -> "StandsStill":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL))


@dataclass(frozen=True, slots=True)
class ErrorText(Message):
    """Part of what a service says to its standard error, for the caller's."""

    TYPE: ClassVar[str] = "stderr"
    call: int
    text: str

    @classmethod
    def of(cls, fields: Fields) -> "ErrorText":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL), fields.lines("text", MAX_ERROR_TEXT))


@dataclass(frozen=True, slots=True)
class Ended(Message):
    """The service has ended with an exit code: by the callee, and then to the caller. *reason* may say more."""

    TYPE: ClassVar[str] = "ended"
    call: int
    code: int
    reason: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "Ended":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL), fields.number("code", 255), fields.sentence("reason", MAX_SENTENCE))


@dataclass(frozen=True, slots=True)
class Cancel(Message):
    """Either side has no more use for a call: whatever goes through its port is thrown away from now on."""

    TYPE: ClassVar[str] = "cancel"
    call: int
    reason: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "Cancel":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("call", MAX_CALL), fields.sentence("reason", MAX_SENTENCE))


FromGuest = Hello | Call | Ready | Sent | ErrorText | Ended | Cancel
ToGuest = Hello | Start | Accepted | End | StandsStill | ErrorText | Ended | Cancel
_FROM_GUEST, _TO_GUEST = Wire[FromGuest](FromGuest), Wire[ToGuest](ToGuest)


def parse_from_guest(line: bytes) -> FromGuest:
    """What a guest says in a line; raises BadMessage."""
    return _FROM_GUEST.parse(line)


def parse_to_guest(line: bytes) -> ToGuest:
    """What the broker says in a line; raises BadMessage."""
    return _TO_GUEST.parse(line)
