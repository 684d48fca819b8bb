"""The words that stand for domains in rules and calls, and which of them may stand where."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.names import HOST_NAME

# Qubes' UUID of its admin domain.
_HOST_SPELLINGS = frozenset({HOST_NAME, "uuid:00000000-0000-0000-0000-000000000000"})


class Place(Enum):
    """Where a token stands; the value is what people call it."""

    SOURCE = "source"
    TARGET = "target"
    REDIRECT = "target= or default_target="
    CALL = "target of a call"


class Kind(Enum):
    """What a token stands for; the value is how it is written, or how it begins where something follows."""

    NAME = ""
    UUID = "uuid:"
    ANYTHING = "*"
    ANY_DOMAIN = "@anyvm"
    HOST = "@adminvm"
    DEFAULT = "@default"
    NEW = "@dispvm"
    NEW_TAGGED = "@dispvm:@tag:"
    NEW_OF = "@dispvm:"
    TAGGED = "@tag:"
    CLASS = "@type:"


_RULE = {Place.SOURCE, Place.TARGET}
_EVERYWHERE = set(Place)
_PLACES: dict[Kind, set[Place]] = {
    Kind.NAME: _EVERYWHERE,
    Kind.UUID: _EVERYWHERE,
    Kind.ANYTHING: _RULE,
    Kind.ANY_DOMAIN: _RULE,
    Kind.HOST: _EVERYWHERE,
    Kind.DEFAULT: {Place.TARGET, Place.CALL},
    Kind.NEW: _EVERYWHERE - {Place.SOURCE},
    Kind.NEW_TAGGED: _RULE,
    Kind.NEW_OF: _EVERYWHERE,
    Kind.TAGGED: _RULE,
    Kind.CLASS: _RULE,
}
_WORDS = {kind.value: kind for kind in Kind if kind.value and not kind.value.endswith(":")}
# The longer first: one begins as another does.
_PREFIXES = sorted((kind for kind in Kind if kind.value.endswith(":")), key=lambda kind: -len(kind.value))


class BadToken(QubesManagerError):
    """What cannot stand for a domain there; says what was found and why not."""


@dataclass(frozen=True, slots=True)
class Token:
    """One or several domains: *value* is the name, UUID, tag or class that belongs to the kind.

    The value of ``NEW_OF`` may be ``uuid:…`` too. The host is always ``HOST``, however it was written.
    """

    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        return self.kind.value + self.value


def parse_token(text: str, place: Place) -> Token:
    """Return the token that *text* is at *place*; raises BadToken."""
    token = _read(text)
    if place not in _PLACES[token.kind]:
        raise BadToken(f"{text!r} cannot be the {place.value}")
    return token


def _read(text: str) -> Token:
    if text in _HOST_SPELLINGS:
        return Token(Kind.HOST)
    if kind := _WORDS.get(text):
        return Token(kind)
    prefix = next((kind for kind in _PREFIXES if text.startswith(kind.value)), None)
    if prefix is None:
        if text.startswith("@"):
            raise BadToken(f"there is no {text!r} in the policy language")
        return Token(Kind.NAME, text)
    value = text.removeprefix(prefix.value)
    if not value or value.startswith("@"):
        raise BadToken(f"{text!r} needs a name after {prefix.value!r}")
    if prefix is Kind.UUID or value.startswith(Kind.UUID.value):
        _check_uuid(value.removeprefix(Kind.UUID.value), text)
    return Token(prefix, value)


def _check_uuid(value: str, text: str) -> None:
    try:
        is_canonical = str(UUID(value)) == value
    except ValueError:
        is_canonical = False
    if not is_canonical:
        raise BadToken(f"{text!r} has no UUID as libvirt writes it: 36 characters, digits and lower-case a to f")
