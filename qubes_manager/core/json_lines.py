"""Messages between our programs: one JSON object on a line, its type beside its fields. What comes is not trusted."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import ClassVar, Generic, NoReturn, Self, TypeVar, get_args

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import one_line, strip_escapes

# Bytes of a line, its end not counted.
MAX_LINE = 16 << 10
MAX_COUNT = 1 << 53
# Characters of the desktop's name for a launch.
MAX_STARTUP_ID = 200
_SHOWN = 80
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
Choice = TypeVar("Choice", bound=StrEnum)
Kind = TypeVar("Kind", bound="Message")


class BadMessage(QubesManagerError):
    """A line that is none of the messages that were expected; says what was found."""


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all messages; TYPE is what tells one kind from the others on its wire."""

    TYPE: ClassVar[str] = ""

    def to_json(self) -> str:
        """The message as a line, without the line's end."""
        return json.dumps({"type": self.TYPE, **asdict(self)})

    @classmethod
    def of(cls, fields: "Fields") -> Self:
        """The message in *fields*, where it has any; raises BadMessage."""
        return cls()


class Fields:
    """The fields of one message; each is checked as it is read, and what it must not be raises BadMessage."""

    def __init__(self, line: bytes, limit: int = MAX_LINE) -> None:
        """Read a line of at most *limit* bytes; raises BadMessage."""
        self._values = _read_object(line, limit)
        self.type = self.text("type", 40)

    def text(self, name: str, limit: int) -> str:
        """Text of at most *limit* characters, all of which print."""
        value = self._text(name)
        if len(value) > limit:
            raise BadMessage(f"{name} has {len(value)} characters; at most {limit} are allowed")
        if not value.isprintable():
            raise BadMessage(f"{name} has characters that do not print: {shown(value)}")
        return value

    def raw(self, name: str, limit: int) -> str:
        """Text of at most *limit* characters as it is: names of files may have any, and are never shown like this."""
        value = self._text(name)
        if len(value) > limit:
            raise BadMessage(f"{name} has {len(value)} characters; at most {limit} are allowed")
        return value

    def raws(self, name: str, most: int, limit: int) -> tuple[str, ...]:
        """At most *most* texts of at most *limit* characters, as they are."""
        value = self._value(name)
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) for item in value):
            raise BadMessage(f"{name} is no list of at most {most} texts: {shown(value)}")
        if any(len(item) > limit for item in value):
            raise BadMessage(f"{name} has a text of more than {limit} characters")
        return tuple(value)

    def objects(self, name: str, most: int) -> "list[Fields]":
        """The fields of at most *most* objects; they have no type."""
        value = self._value(name)
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, dict) for item in value):
            raise BadMessage(f"{name} is no list of at most {most} objects: {shown(value)}")
        return [self._inner(item) for item in value]

    @classmethod
    def _inner(cls, values: Mapping[str, object]) -> "Fields":
        fields = cls.__new__(cls)
        fields._values, fields.type = values, ""
        return fields

    def uuid(self, name: str) -> str:
        """A domain's UUID as libvirt writes it."""
        value = self._text(name)
        if not _UUID.fullmatch(value):
            raise BadMessage(f"{name} is none of a domain: {shown(value)}")
        return value

    def sentence(self, name: str, limit: int) -> str:
        """Text for people: on one line, safe to show, cut to *limit* characters."""
        return one_line(self._text(name), limit)

    def lines(self, name: str, limit: int) -> str:
        """Text for people on several lines, safe to show, cut to *limit* characters."""
        return strip_escapes(self._text(name)[:limit])

    def sentences(self, name: str, most: int, limit: int) -> tuple[str, ...]:
        """At most *most* texts for people; each is on one line, safe to show, and cut to *limit* characters."""
        value = self._value(name)
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) for item in value):
            raise BadMessage(f"{name} is no list of at most {most} texts: {shown(value)}")
        return tuple(one_line(item, limit) for item in value)

    def number(self, name: str, high: int = MAX_COUNT) -> int:
        """A whole number from 0 to *high*."""
        value = self._value(name)
        # bool is an int in Python, but not on the wire.
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
            raise BadMessage(f"{name} is no whole number from 0 to {high}: {shown(value)}")
        return value

    def numbers(self, name: str, most: int) -> tuple[int, ...]:
        """At most *most* whole numbers, none below 0."""
        value = self._value(name)
        if not isinstance(value, list) or len(value) > most or not all(type(item) is int for item in value):
            raise BadMessage(f"{name} is no list of at most {most} numbers: {shown(value)}")
        if any(not 0 <= item <= MAX_COUNT for item in value):
            raise BadMessage(f"{name} has a number below 0 or beyond {MAX_COUNT}")
        return tuple(value)

    def truth(self, name: str) -> bool:
        """Either true or false."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise BadMessage(f"{name} is neither true nor false: {shown(value)}")
        return value

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """One of an enumeration's values."""
        value = self._text(name)
        try:
            return choices(value)
        except ValueError:
            raise BadMessage(f"{name} is none of {', '.join(choices)}: {shown(value)}") from None

    def _text(self, name: str) -> str:
        value = self._value(name)
        if not isinstance(value, str):
            raise BadMessage(f"{name} is no text: {shown(value)}")
        return value

    def _value(self, name: str) -> object:
        if name not in self._values:
            raise BadMessage(f"{name} is missing")
        return self._values[name]


class Wire(Generic[Kind]):
    """What may be said one way: *kinds* is a union of messages, each of which reads its own fields."""

    def __init__(self, kinds: object, limit: int = MAX_LINE) -> None:
        self._kinds: dict[str, type[Kind]] = {kind.TYPE: kind for kind in get_args(kinds)}
        self._limit = limit

    def parse(self, line: bytes) -> Kind:
        """The message that a line holds; raises BadMessage."""
        fields = Fields(line, self._limit)
        if kind := self._kinds.get(fields.type):
            return kind.of(fields)
        raise BadMessage(f"unknown message {shown(fields.type)}")


class LineBuffer:
    """Cuts a stream of bytes into lines; a line beyond the limit is left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False

    def lines(self, data: bytes) -> list[bytes]:
        """The lines that *data* ends, without their ends."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [line for line in whole[self._too_long :] if len(line) <= MAX_LINE]
        self._too_long = len(self._rest) > MAX_LINE or (self._too_long and not whole)
        if self._too_long:
            self._rest = b""
        return lines


def shown(value: object) -> str:
    """What was found, short enough and safe to say."""
    # To write out what is nested deeply takes more of the stack than there may be.
    text = f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)
    return one_line(text, _SHOWN)


def _read_object(line: bytes, limit: int) -> Mapping[str, object]:
    if len(line.rstrip(b"\n")) > limit:
        raise BadMessage(f"a line of {len(line)} bytes; at most {limit} are allowed")
    try:
        values = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadMessage(f"no JSON: {shown(line[:_SHOWN])}") from None
    if not isinstance(values, dict):
        raise BadMessage(f"no JSON object: {shown(values)}")
    return values


def _refuse_constant(name: str) -> NoReturn:
    # NaN and Infinity are no JSON, though Python reads them.
    raise ValueError(name)
