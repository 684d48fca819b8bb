"""What a sender makes of files, and what it says of those that it cannot send."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from qubes_manager.guest.archive.packing import Shrunk, pack
from qubes_manager.guest.archive.walking import Entry, survey
from tests.guest.archive.archives import packed, unpacked


def test_a_tree_arrives_as_it_was(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "sub").mkdir(mode=0o750)
    (tree / "sub/run").write_bytes(os.urandom(700_001))
    (tree / "sub/run").chmod(0o755)
    (tree / "none").write_bytes(b"")
    (tree / "sub/back").symlink_to("../none")
    os.utime(tree / "none", (0, 1_234_567_890.5))
    os.utime(tree / "sub", (0, -86400))
    target = tmp_path / "target"
    target.mkdir()
    stream, sent, problems = packed(tree)
    took = unpacked(stream, target)
    assert not problems
    assert (took.names, took.sha256, took.size) == (("tree",), sent.sha256, 700_001)
    there = target / "tree"
    assert (there / "sub/run").read_bytes() == (tree / "sub/run").read_bytes()
    assert (there / "sub/run").stat().st_mode & 0o777 == 0o755
    assert (there / "sub").stat().st_mode & 0o777 == 0o750
    assert (there / "none").stat().st_mtime == 1_234_567_890.5
    assert (there / "sub").stat().st_mtime == -86400
    assert (there / "sub/back").readlink() == Path("../none")
    assert list((there / "empty").iterdir()) == []


def test_long_and_strange_names_arrive(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    deep = tree / "/".join(["d" * 120] * 8)
    deep.mkdir(parents=True)
    (deep / ("ü" * 120)).write_text("long")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe\n")).write_text("bytes")
    target = tmp_path / "target"
    target.mkdir()
    stream, _sent, problems = packed(tree)
    unpacked(stream, target, all_names=True)
    assert not problems
    assert _names(target / "tree") == _names(tree)
    assert (target / deep.relative_to(tmp_path) / ("ü" * 120)).read_text() == "long"
    assert survey([tree]).is_unusual


def test_what_is_no_file_is_told_and_left_out(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mkfifo(tree / "pipe")
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "kept").write_text("kept")
    with socket.socket(socket.AF_UNIX) as heard:
        heard.bind(str(tree / "socket"))
        stream, _sent, problems = packed(tree, tmp_path / "missing")
    target = tmp_path / "target"
    target.mkdir()
    unpacked(stream, target)
    assert [path.name for path in (target / "tree").iterdir()] == ["kept"]
    assert {Path(path).name for path in problems} == {"pipe", "out", "socket", "missing"}


def test_nothing_but_unreadable_files_makes_an_empty_archive(tmp_path: Path) -> None:
    stream, _sent, problems = packed(tmp_path / "missing")
    assert unpacked(stream, tmp_path).names == ()
    assert len(problems) == 1


def test_links_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("/etc")
    found = survey([tmp_path / "tree"], ignore_links=True)
    problems = dict[str, str]()
    assert pack(found, lambda _data: None, problem=problems.__setitem__).count == found.count == 1
    assert not problems


def test_a_file_that_shrinks_meanwhile_stops_it_all(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(1 << 20))

    def shrink(_data: bytes) -> None:
        os.truncate(path, 300_000)

    with pytest.raises(Shrunk, match="log"):
        pack(survey([path]), shrink, problem=lambda _path, _reason: None)


def test_a_file_that_grows_meanwhile_goes_as_it_was_but_not_as_sent(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 300_000)
    stream, sent, problems = bytearray(), list[Entry](), dict[str, str]()

    def write(data: bytes) -> None:
        stream.extend(data)
        with path.open("ab") as file:
            file.write(b"b")

    pack(survey([path]), write, problem=problems.__setitem__, on_sent=sent.append)
    target = tmp_path / "target"
    target.mkdir()
    unpacked(bytes(stream), target)
    assert (target / "log").read_bytes() == b"a" * 300_000
    assert (sent, list(problems)) == ([], [str(path)])


def test_small_files_go_out_many_at_a_time(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"x" * 100)
    pieces: list[bytes] = []
    packed = pack(survey([tmp_path]), pieces.append, problem=lambda path, reason: pytest.fail(f"{path}: {reason}"))
    assert len(pieces) == 2, "all of them, and the digest"
    assert pieces[1].hex() == packed.sha256 == hashlib.sha256(pieces[0]).hexdigest()


def test_a_folder_is_sent_after_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/file").write_text("x")
    sent = list[Entry]()
    pack(survey([tmp_path / "tree"]), lambda _data: None, problem=print, on_sent=sent.append)
    assert [entry.name for entry in sent] == ["tree/sub/file", "tree/sub", "tree"]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
