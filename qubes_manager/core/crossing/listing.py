"""What a domain's folder holds, as its guest tells: lines of JSON, bounded, nothing of it trusted.

The service ``qubes_manager.ListFiles`` gets a path on its standard input (none is the user's home; a relative one
starts there) and answers with a ``Folder``, then an ``Entry`` each, then ``Listed``. The service
``qubes_manager.FetchFiles`` gets paths that NUL separates, and answers with an archive as ``qubes.Filecopy`` takes it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.json_lines import BadMessage, Fields, Message, shown

LIST_SERVICE, FETCH_SERVICE = "qubes_manager.ListFiles", "qubes_manager.FetchFiles"
# Entries of one folder, and bytes of them; a folder of more is told as far as this.
MAX_ENTRIES, MAX_LISTING = 5000, 900 << 10
# Bytes of the whole answer: a byte of the path may be written in six characters.
MAX_ANSWER = MAX_LISTING + 6 * 4096 + 1000
MAX_PATH = 4096
_MAX_FILE_NAME = 255


class FileKind(StrEnum):
    """What an entry of a folder is; a link is told as what it leads to, if that is a file or a folder."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Folder(Message):
    """The folder that is listed: its whole path, and the bytes that are free there."""

    TYPE: ClassVar[str] = "folder"
    path: str
    free: int

    @classmethod
    def of(cls, fields: Fields) -> "Folder":
        """The message in *fields*; raises BadMessage."""
        path = fields.raw("path", MAX_PATH)
        if not path.startswith("/") or "\0" in path:
            raise BadMessage(f"path is no whole one: {shown(path)}")
        return cls(path, fields.number("free"))


@dataclass(frozen=True, slots=True)
class Entry(Message):
    """One entry of a folder: its size in bytes, and when it was changed, in seconds since 1970.

    Its name is as the guest has it (``os.fsdecode``), to be shown by ``one_cell`` only.
    """

    TYPE: ClassVar[str] = "entry"
    name: str
    kind: FileKind
    size: int = 0
    changed: int = 0

    @classmethod
    def of(cls, fields: Fields) -> "Entry":
        """The message in *fields*; raises BadMessage."""
        name = fields.raw("name", _MAX_FILE_NAME)
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise BadMessage(f"name is none of a file: {shown(name)}")
        return cls(name, fields.choice("kind", FileKind), fields.number("size"), fields.number("changed"))


@dataclass(frozen=True, slots=True)
class Listed(Message):
    """The end of a folder; *is_cut* when it holds more than was told."""

    TYPE: ClassVar[str] = "listed"
    is_cut: bool = False

    @classmethod
    def of(cls, fields: Fields) -> "Listed":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.truth("is_cut"))


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder of a domain."""

    path: str
    free: int
    entries: tuple[Entry, ...]
    is_cut: bool


def read_listing(answer: bytes) -> Listing:
    """The folder that a guest tells of; raises BadMessage when it is not whole."""
    folder: Folder | None = None
    entries: dict[str, Entry] = {}
    for line in answer.splitlines():
        fields = Fields(line)
        match fields.type:
            case Folder.TYPE if folder is None:
                folder = Folder.of(fields)
            case Entry.TYPE if folder and len(entries) < MAX_ENTRIES:
                entry = Entry.of(fields)
                entries[entry.name] = entry
            case Listed.TYPE if folder:
                return Listing(folder.path, folder.free, tuple(entries.values()), Listed.of(fields).is_cut)
            case unknown:
                raise BadMessage(f"no place for {shown(unknown)} in a list of files")
    raise BadMessage("the list of files ends too early")


def bounded(listing: Listing) -> Listing:
    """As much of a folder as may be told."""
    size = 0
    for number, entry in enumerate(listing.entries):
        size += len(_line(entry))
        if number >= MAX_ENTRIES or size > MAX_LISTING:
            return replace(listing, entries=listing.entries[:number], is_cut=True)
    return listing


def write_listing(listing: Listing) -> bytes:
    """The lines that tell of a folder, as much of it as may be told."""
    told = bounded(listing)
    messages = (Folder(told.path, told.free), *told.entries, Listed(told.is_cut))
    return b"".join(_line(message) for message in messages)


def _line(message: Message) -> bytes:
    return message.to_json().encode() + b"\n"
