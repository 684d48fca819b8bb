"""What is said between the broker and the user's other programs about domains' files."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar

from qubes_manager.core.crossing.copying import Arrived
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.listing import MAX_ENTRIES, MAX_PATH, Entry, Folder, Listing, bounded
from qubes_manager.core.crossing.remarks import MAX_TOLD, Remarks
from qubes_manager.core.json_lines import BadMessage, Fields, Message
from qubes_manager.core.text import one_line

# Paths that are copied at once: more are in folders, or are copied in turns.
MAX_PATHS = 5000
# Characters; all names of files that a report tells are as long as this together, written out.
MAX_REMARK, MAX_DIGEST, _MAX_NAMES = 300, 64, 256 << 10


@dataclass(frozen=True, slots=True)
class ListFiles(Message):
    """What is in a folder of a running domain? *path* empty is its user's home."""

    TYPE: ClassVar[str] = "list-files"
    uuid: str
    path: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "ListFiles":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.uuid("uuid"), fields.raw("path", MAX_PATH))


@dataclass(frozen=True, slots=True)
class FileList(Message):
    """A folder of a domain, as its guest tells it."""

    TYPE: ClassVar[str] = "files"
    path: str
    free: int
    entries: tuple[Entry, ...]
    is_cut: bool

    @property
    def listing(self) -> Listing:
        """The folder."""
        return Listing(self.path, self.free, self.entries, self.is_cut)

    @classmethod
    def of(cls, fields: Fields) -> "FileList":
        """The message in *fields*; raises BadMessage."""
        entries = tuple(Entry.of(item) for item in fields.objects("entries", MAX_ENTRIES))
        folder = Folder.of(fields)
        return cls(folder.path, folder.free, entries, fields.truth("is_cut"))


@dataclass(frozen=True, slots=True)
class CopyFiles(Message):
    """Copy files; answered by ``CopyBegun``. *source* and *target* are UUIDs, empty is this machine.

    *paths* are whole ones. With *move* they are deleted when the receiver has said that it has all, and proved it.
    """

    TYPE: ClassVar[str] = "copy-files"
    source: str
    target: str
    paths: tuple[str, ...]
    move: bool = False
    clash: Clash = Clash.NUMBER
    ignore_links: bool = False

    @classmethod
    def of(cls, fields: Fields) -> "CopyFiles":
        """The message in *fields*; raises BadMessage."""
        paths = _whole_paths(fields)
        return cls(
            fields.uuid("source") if fields.raw("source", 36) else "",
            fields.uuid("target") if fields.raw("target", 36) else "",
            paths,
            fields.truth("move"),
            fields.choice("clash", Clash),
            fields.truth("ignore_links"),
        )


@dataclass(frozen=True, slots=True)
class OpenFiles(Message):
    """Open files in a new disposable; answered by ``CopyBegun``, its report comes when all is closed.

    *template* is the UUID of what it is made of, empty for the default. With *view_only* nothing comes back. *source*
    is the UUID of the domain that has the files, empty for this machine: a domain's can only be viewed.
    """

    TYPE: ClassVar[str] = "open-files"
    template: str
    paths: tuple[str, ...]
    view_only: bool
    source: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "OpenFiles":
        """The message in *fields*; raises BadMessage."""
        paths = _whole_paths(fields)
        template, source = (fields.uuid(name) if fields.raw(name, 36) else "" for name in ("template", "source"))
        return cls(template, paths, fields.truth("view_only"), source)


@dataclass(frozen=True, slots=True)
class ConvertFiles(Message):
    """Make clean copies of PDF files and pictures of this machine, beside them; answered by ``CopyBegun``.

    *template* is the UUID of what the disposables are made of, empty for the default.
    """

    TYPE: ClassVar[str] = "convert-files"
    template: str
    paths: tuple[str, ...]

    @classmethod
    def of(cls, fields: Fields) -> "ConvertFiles":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.uuid("template") if fields.raw("template", 36) else "", _whole_paths(fields))


@dataclass(frozen=True, slots=True)
class CopyBegun(Message):
    """A copy is on its way, as the transfer of this number."""

    TYPE: ClassVar[str] = "copy-begun"
    transfer: int

    @classmethod
    def of(cls, fields: Fields) -> "CopyBegun":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("transfer"))


@dataclass(frozen=True, slots=True)
class AwaitCopy(Message):
    """Tell me when a copy has ended: answered by ``CopyReport``, or by ``Failed`` when nothing was copied."""

    TYPE: ClassVar[str] = "await-copy"
    transfer: int

    @classmethod
    def of(cls, fields: Fields) -> "AwaitCopy":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("transfer"))


@dataclass(frozen=True, slots=True)
class CopyReport(Message):
    """What has become of a copy: the folder where it is, its files and bytes.

    *files* are the first of them with their SHA-256, where this machine took them. *remarks* are sentences, of what got
    another name, was skipped, could not be read, or stayed where it was although it was to be moved (*is_partial*).
    """

    TYPE: ClassVar[str] = "copied"
    folder: str
    count: int
    size: int
    is_partial: bool = False
    remarks: tuple[str, ...] = ()
    files: tuple[Arrived, ...] = field(default=())

    @classmethod
    def telling(
        cls, folder: str, count: int, size: int, is_partial: bool, remarks: Remarks, files: Iterable[Arrived] = ()
    ) -> "CopyReport":
        """A report that tells as much as it may."""
        told = tuple(one_line(remark, MAX_REMARK) for remark in remarks.told())
        return cls(folder, count, size, is_partial, told, tuple(_first(files)))

    @classmethod
    def of(cls, fields: Fields) -> "CopyReport":
        """The message in *fields*; raises BadMessage."""
        return cls(
            fields.raw("folder", MAX_PATH),
            fields.number("count"),
            fields.number("size"),
            fields.truth("is_partial"),
            fields.sentences("remarks", MAX_TOLD, MAX_REMARK),
            _arrived(fields),
        )


@dataclass(frozen=True, slots=True)
class FilesArrived(Message):
    """News: a domain has sent files to this machine, into *folder*; the first of them with their SHA-256."""

    TYPE: ClassVar[str] = "files-arrived"
    source: str
    folder: str
    count: int
    size: int
    files: tuple[Arrived, ...]

    @classmethod
    def of_report(cls, source: str, report: CopyReport) -> "FilesArrived":
        """The news of what has become of a copy."""
        return cls(source, report.folder, report.count, report.size, report.files)

    @classmethod
    def of(cls, fields: Fields) -> "FilesArrived":
        """The message in *fields*; raises BadMessage."""
        source = fields.sentence("source", MAX_REMARK)
        folder, count, size = fields.raw("folder", MAX_PATH), fields.number("count"), fields.number("size")
        return cls(source, folder, count, size, _arrived(fields))


def _whole_paths(fields: Fields) -> tuple[str, ...]:
    paths = fields.raws("paths", MAX_PATHS, MAX_PATH)
    if not paths or not all(path.startswith("/") and "\0" not in path for path in paths):
        raise BadMessage("paths are whole ones, and at least one")
    return paths


def _first(files: Iterable[Arrived]) -> Iterator[Arrived]:
    """As many as a message has room for: a guest has given them their names."""
    room = _MAX_NAMES
    for file in islice(files, MAX_TOLD):
        room -= len(json.dumps(file.name))
        if room < 0:
            return
        yield file


def _arrived(fields: Fields) -> tuple[Arrived, ...]:
    return tuple(
        Arrived(item.raw("name", MAX_PATH), item.number("size"), item.text("sha256", MAX_DIGEST))
        for item in fields.objects("files", MAX_TOLD)
    )


def file_list(listing: Listing) -> FileList:
    """The message that tells of a folder, or of as much of it as goes into one."""
    told = bounded(listing)
    return FileList(told.path, told.free, told.entries, told.is_cut)
