"""The one text, or picture, on its way from a domain to another: whose it is, who gets it, and when it is gone.

Nothing here waits or reads a clock: times are handed in, in seconds of the host's monotonic clock. An operation has
the time at which its key was pressed, and what is older than the newest one is refused, however late it is heard of.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from qubes_manager.core.errors import Refused

# What stays in a text besides what prints: line ends and tabs.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Kind(StrEnum):
    """What is carried."""

    TEXT = "text"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, eq=False)
class Copying:
    """A copy that was begun: from the domain with the UUID *source*, called *name*, at the time *when*."""

    source: str
    name: str
    when: float


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a copy brought, which is in no picture of this object that is logged. It came at the time *since*."""

    origin: Copying
    kind: Kind
    data: bytes = field(repr=False)
    since: float

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True, eq=False)
class Pasting:
    """A paste that was begun: what the copy *origin* brought, or is about to bring, is for the domain *target*."""

    target: str
    origin: Copying


class Clipboard:
    """Holds at most one content, and gives it to one target at most, which was named while it was there."""

    def __init__(self) -> None:
        self._content: Content | None = None
        self._copying: Copying | None = None
        self._newest = float("-inf")

    @property
    def content(self) -> Content | None:
        """What waits, if anything."""
        return self._content

    def begin_copy(self, source: str, name: str, when: float) -> Copying:
        """Forget what was there, and expect another content; raises Refused when a newer operation was heard of."""
        self._take_turn(when)
        self._content = None
        self._copying = Copying(source, name, when)
        return self._copying

    def finish_copy(self, copying: Copying, kind: Kind, data: bytes, now: float) -> Content:
        """Hold what a copy brought; raises Refused when something newer has come in between."""
        if self._copying is not copying:
            raise Refused(f"what “{copying.name}” answered came too late, and was dropped: there was something newer")
        self._copying = None
        self._content = Content(copying, kind, data, now)
        return self._content

    def fail_copy(self, copying: Copying) -> None:
        """Expect nothing of a copy any more."""
        if self._copying is copying:
            self._copying = None

    def begin_paste(self, target: str, when: float) -> Pasting:
        """Name who is to get what is there, or is awaited; it stays until ``take``.

        Raises Refused when there is nothing, it came from *target* itself, or a newer operation was heard of.
        """
        self._take_turn(when)
        origin = self._copying or (self._content.origin if self._content else None)
        if origin is None:
            raise Refused("the inter-domain clipboard is empty: copy something into it first")
        if origin.source == target:
            raise Refused(f"it came from “{origin.name}” itself; paste it into another domain")
        return Pasting(target, origin)

    def is_awaited(self, pasting: Pasting) -> bool:
        """Whether what a paste is about has not come yet."""
        return self._copying is pasting.origin

    def take(self, pasting: Pasting) -> Content:
        """Return what a paste is about, for its target alone, and forget it; raises Refused when it is gone."""
        content = self._content
        if content is None or content.origin is not pasting.origin:
            raise Refused("what was to be pasted is not on the inter-domain clipboard any more; copy it again")
        self._content = None
        return content

    def wipe(self, now: float) -> None:
        """Forget everything, also what was asked for before and is still on its way."""
        self._content = self._copying = None
        self._newest = max(self._newest, now)

    def forget(self, source: str) -> bool:
        """A domain has stopped: nothing of it is left. Returns whether there was something."""
        is_source_s = source in {
            held.source for held in (self._copying, self._content and self._content.origin) if held
        }
        if is_source_s:
            self._content = self._copying = None
        return is_source_s

    def expire(self, content: Content) -> None:
        """The time of *content* is over: forget it, if it is still there."""
        if self._content is content:
            self._content = None

    def _take_turn(self, when: float) -> None:
        if when < self._newest:
            raise Refused("the key was pressed before what was done since; nothing is done about it")
        self._newest = when


def clean_text(data: bytes, limit: int, whose: str) -> bytes:
    """Return what may cross of the text in *data*: UTF-8 without control characters; line ends and tabs stay.

    Raises Refused for an empty text, one of more than *limit* bytes, or no UTF-8; says *whose* it is (“of the host”).
    """
    if not data:
        raise Refused(f"there is no text on the clipboard {whose}: copy some there first")
    if len(data) > limit:
        raise Refused(
            f"the text {whose} has more than {limit:,} bytes, which is all that the inter-domain clipboard "
            "takes; copy less, raise max_clipboard_size, or send it as a file"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refused(f"what is on the clipboard {whose} is no text in UTF-8; nothing was copied") from None
    cleaned = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).encode()
    if not cleaned:
        raise Refused(f"the text {whose} has nothing but control characters; nothing was copied")
    return cleaned
