"""What a guest tells of its folders: whole, bounded, or refused."""

import os

import pytest

from qubes_manager.core.crossing.listing import (
    MAX_ANSWER,
    MAX_ENTRIES,
    Entry,
    FileKind,
    Listing,
    read_listing,
    write_listing,
)
from qubes_manager.core.json_lines import BadMessage

FOLDER = b'{"type": "folder", "path": "/home/user", "free": 5}\n'
END = b'{"type": "listed", "is_cut": false}\n'


def entry(name: str) -> bytes:
    return Entry(name, FileKind.FILE, 3, 1_700_000_000).to_json().encode() + b"\n"


def test_what_is_written_is_read_again_with_all_the_names_that_a_file_may_have() -> None:
    names = ["plain", "line\nend", "\u202etxt.exe", os.fsdecode(b"\xff\xfe"), "<b>bold", "x" * 255, "-rf"]
    listing = Listing("/home/user", 1 << 40, tuple(Entry(n, FileKind.FILE, 1 << 50, 7) for n in names), True)
    assert read_listing(write_listing(listing)) == listing


def test_a_folder_of_too_many_files_is_told_as_far_as_may_be() -> None:
    entries = tuple(Entry(os.fsdecode(b"\xff" * 250) + str(number), FileKind.FILE) for number in range(MAX_ENTRIES * 2))
    answer = write_listing(Listing("/", 0, entries, False))
    assert len(answer) <= MAX_ANSWER
    read = read_listing(answer)
    assert read.is_cut
    assert read.entries == entries[: len(read.entries)]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "nul\0", "x" * 256])
def test_what_is_no_name_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(BadMessage):
        read_listing(FOLDER + entry(name) + END)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "too early"),
        (FOLDER, "too early"),
        (END, "no place"),
        (entry("x"), "no place"),
        (FOLDER + FOLDER + END, "no place"),
        (FOLDER.replace(b"/home", b"home") + END, "no whole one"),
        (FOLDER.replace(b"5", b"-5") + END, "free"),
        (FOLDER + entry("x").replace(b"file", b"pipe") + END, "kind"),
        (FOLDER + b"".join(entry(str(n)) for n in range(MAX_ENTRIES + 1)) + END, "no place"),
    ],
    ids=["nothing", "no end", "no folder", "entry first", "two folders", "path", "free", "kind", "too many"],
)
def test_a_list_that_is_not_whole_is_refused(answer: bytes, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        read_listing(answer)


def test_an_entry_that_is_told_twice_counts_once() -> None:
    assert [e.name for e in read_listing(FOLDER + entry("x") * 2 + END).entries] == ["x"]
