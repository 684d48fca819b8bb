"""What is said around an archive of files that goes from one domain to another; a line of JSON each.

``qubes.Filecopy``: the sender says ``Offer``, the receiver ``Go`` or ``Failure``; then comes the archive, and after it
the receiver says ``Stored`` or ``Failure``. The host may say ``Chosen`` before its offer, more than once.
``qubes.OpenInVM`` begins like that; when the program has been closed, the receiver says ``Changed`` for each file that
is another one than before, then ``Offer`` and an archive of those files, called by their numbers from nought in that
order.

``qubes.PdfConvert`` and ``qubes.GetImageRGBA``: the sender says ``Offer`` of one file, whose bytes follow; the receiver
says ``Pages``, and for each of them ``Page`` with its pixels behind it, or ``Failure``.

Nothing that the other side says is trusted.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.json_lines import BadMessage, Fields, Message, Wire

# Pages of one file, pixels of one side of a page, and of the whole page.
MAX_PAGES, MAX_SIDE, MAX_PIXELS = 10_000, 20_000, 40_000_000
# Bytes of a path inside an archive (Linux, PATH_MAX), and characters of what is said to people.
MAX_PATH, MAX_REASON = 4095, 400
# Names that a line has room for, each character of which JSON may write with six.
CHOSEN_AT_ONCE = 8
ALL_NAMES, VIEW_ONLY = "allow-all-names", "view-only"
# The folder of a home in which what comes from a domain has a folder of that domain's name.
INCOMING = "QubesIncoming"


class Clash(StrEnum):
    """What becomes of what comes where its name is taken: it gets a number, takes the place of what is there, or goes.

    All but the first the user of this machine alone may want, as arguments of ``qubes.Filecopy``: the broker lets no
    domain's own call have them.
    """

    NUMBER = "number"
    REPLACE = "replace"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Offer(Message):
    """An archive is to follow: bytes of its files, and how many files, folders and links. A file may grow meanwhile."""

    TYPE: ClassVar[str] = "offer"
    size: int
    count: int

    @property
    def most_bytes(self) -> int:
        """More is not what was offered: files may grow between the sender's look at them and their sending."""
        return self.size + self.size // 8 + (16 << 20)

    @property
    def most_things(self) -> int:
        """The same of files, folders and links."""
        return self.count + self.count // 8 + 1000

    @classmethod
    def of(cls, fields: Fields) -> "Offer":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("size"), fields.number("count"))


@dataclass(frozen=True, slots=True)
class Chosen(Message):
    """Names beside each other that may come, and with those of other such lines no others: what a domain sends may take
    the place of nothing but what the user has chosen.
    """

    TYPE: ClassVar[str] = "chosen"
    names: tuple[str, ...]

    @classmethod
    def of(cls, fields: Fields) -> "Chosen":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.raws("names", CHOSEN_AT_ONCE, MAX_PATH))


@dataclass(frozen=True, slots=True)
class Go(Message):
    """The receiver has room, and waits for the archive."""

    TYPE: ClassVar[str] = "go"


@dataclass(frozen=True, slots=True)
class Stored(Message):
    """The receiver has all of it on its disk, with this SHA-256 in hex.

    *renamed* of the names were taken, and are numbered there; *skipped* were taken too, and were left out.
    """

    TYPE: ClassVar[str] = "stored"
    sha256: str
    renamed: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, fields: Fields) -> "Stored":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.text("sha256", 64), fields.number("renamed"), fields.number("skipped"))


@dataclass(frozen=True, slots=True)
class Failure(Message):
    """The receiver keeps nothing, and why."""

    TYPE: ClassVar[str] = "failure"
    reason: str

    @classmethod
    def of(cls, fields: Fields) -> "Failure":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.sentence("reason", MAX_REASON))


@dataclass(frozen=True, slots=True)
class Changed(Message):
    """A file that was sent, by its name in the archive, is another one now, and comes back."""

    TYPE: ClassVar[str] = "changed"
    name: str

    @classmethod
    def of(cls, fields: Fields) -> "Changed":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.raw("name", MAX_PATH))


@dataclass(frozen=True, slots=True)
class Pages(Message):
    """So many pages follow."""

    TYPE: ClassVar[str] = "pages"
    count: int

    @classmethod
    def of(cls, fields: Fields) -> "Pages":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("count", MAX_PAGES))


@dataclass(frozen=True, slots=True)
class Page(Message):
    """The pixels of a page follow: three bytes each, red, green and blue, row by row from the top."""

    TYPE: ClassVar[str] = "page"
    width: int
    height: int

    @classmethod
    def of(cls, fields: Fields) -> "Page":
        """The message in *fields*; raises BadMessage."""
        width, height = fields.number("width", MAX_SIDE), fields.number("height", MAX_SIDE)
        if not 0 < width * height <= MAX_PIXELS:
            raise BadMessage(f"a page of {width} by {height} pixels; at most {MAX_PIXELS} are taken")
        return cls(width, height)

    @property
    def size(self) -> int:
        """The bytes that follow."""
        return 3 * self.width * self.height


FileMessage = Offer | Chosen | Go | Stored | Failure | Changed | Pages | Page
_WIRE = Wire[FileMessage](FileMessage)


def parse_file_message(line: bytes) -> FileMessage:
    """What a line says; raises BadMessage."""
    return _WIRE.parse(line)
