"""What is said to the broker of the inter-domain clipboard, and what it tells of it, which is never what it holds."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import ClassVar

from qubes_manager.core.crossing.clipboard import Kind
from qubes_manager.core.crossing.guest_messages import MAX_DOMAIN
from qubes_manager.core.crossing.pixels import MOST_BYTES
from qubes_manager.core.json_lines import BadMessage, Fields, Message
from qubes_manager.core.service_messages import MAX_SENTENCE

_MOST_TEXT = (MOST_BYTES + 2) // 3 * 4


@dataclass(frozen=True, slots=True)
class CopyClipboard(Message):
    """Take what is on a domain's clipboard.

    *when* its keys were pressed, in milliseconds of the host's monotonic clock; 0 when it was chosen otherwise, just
    now. The same goes for ``PasteClipboard``.
    """

    TYPE: ClassVar[str] = "clipboard-copy"
    uuid: str
    when: int = 0

    @classmethod
    def of(cls, fields: Fields) -> "CopyClipboard":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.uuid("uuid"), fields.number("when"))


@dataclass(frozen=True, slots=True)
class PasteClipboard(Message):
    """Put what the inter-domain clipboard holds on a domain's clipboard, and forget it.

    *focused* is for how many milliseconds the window over which keys were pressed had had the keyboard.
    """

    TYPE: ClassVar[str] = "clipboard-paste"
    uuid: str
    when: int = 0
    focused: int = 0

    @classmethod
    def of(cls, fields: Fields) -> "PasteClipboard":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.uuid("uuid"), fields.number("when"), fields.number("focused"))


@dataclass(frozen=True, slots=True)
class PutClipboard(Message):
    """Take a text of the host's, as if it were copied in dom0."""

    TYPE: ClassVar[str] = "clipboard-put"
    text: str = field(repr=False)

    @classmethod
    def holding(cls, text: str) -> "PutClipboard":
        """The message for a text."""
        return cls(_packed(text))

    @property
    def data(self) -> bytes:
        """The text in UTF-8; raises BadMessage."""
        return _unpacked(self.text)

    @classmethod
    def of(cls, fields: Fields) -> "PutClipboard":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.text("text", _MOST_TEXT))


@dataclass(frozen=True, slots=True)
class GiveText(Message):
    """Put a text of the host's on a domain's clipboard, past the inter-domain one."""

    TYPE: ClassVar[str] = "clipboard-give"
    uuid: str
    text: str = field(repr=False)

    @classmethod
    def holding(cls, uuid: str, text: str) -> "GiveText":
        """The message for a text."""
        return cls(uuid, _packed(text))

    @property
    def data(self) -> bytes:
        """The text in UTF-8; raises BadMessage."""
        return _unpacked(self.text)

    @classmethod
    def of(cls, fields: Fields) -> "GiveText":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.uuid("uuid"), fields.text("text", _MOST_TEXT))


@dataclass(frozen=True, slots=True)
class TakeClipboard(Message):
    """Hand what the inter-domain clipboard holds to the host, if policy and user agree, and forget it."""

    TYPE: ClassVar[str] = "clipboard-take"


@dataclass(frozen=True, slots=True)
class ClipboardText(Message):
    """The text that the host gets, and the domain that it is from."""

    TYPE: ClassVar[str] = "clipboard-text"
    source: str
    text: str = field(repr=False)

    @classmethod
    def holding(cls, source: str, data: bytes) -> "ClipboardText":
        """The message for a text in UTF-8."""
        return cls(source, base64.b64encode(data).decode())

    @property
    def data(self) -> bytes:
        """The text in UTF-8; raises BadMessage."""
        return _unpacked(self.text)

    @classmethod
    def of(cls, fields: Fields) -> "ClipboardText":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.sentence("source", MAX_DOMAIN), fields.text("text", _MOST_TEXT))


@dataclass(frozen=True, slots=True)
class WipeClipboard(Message):
    """Forget what the inter-domain clipboard holds."""

    TYPE: ClassVar[str] = "clipboard-wipe"


@dataclass(frozen=True, slots=True)
class ReadClipboard(Message):
    """Ask how the inter-domain clipboard stands."""

    TYPE: ClassVar[str] = "clipboard-read"


@dataclass(frozen=True, slots=True)
class ClipboardSaid(Message):
    """What was done about the clipboard, and what to do next, in a sentence or two."""

    TYPE: ClassVar[str] = "clipboard-said"
    text: str

    @classmethod
    def of(cls, fields: Fields) -> "ClipboardSaid":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.sentence("text", MAX_SENTENCE))


@dataclass(frozen=True, slots=True)
class ClipboardStatus(Message):
    """What the inter-domain clipboard holds: *size* bytes, copied *age* milliseconds ago from the domain *source*.

    *source* is its name and *uuid* its UUID; both are empty when there is nothing.
    """

    TYPE: ClassVar[str] = "clipboard"
    source: str = ""
    uuid: str = ""
    kind: Kind = Kind.TEXT
    size: int = 0
    age: int = 0

    @classmethod
    def of(cls, fields: Fields) -> "ClipboardStatus":
        """The message in *fields*; raises BadMessage."""
        return cls(
            fields.sentence("source", MAX_DOMAIN),
            fields.text("uuid", 36),
            fields.choice("kind", Kind),
            fields.number("size"),
            fields.number("age"),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not self.uuid


def _packed(text: str) -> str:
    # Characters that are no text in UTF-8 may come from Qt.
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def _unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        # Nothing of it is said: it may be a password.
        raise BadMessage("text is no base64") from None
