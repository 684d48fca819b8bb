"""What a receiver takes, from senders of ours and from hostile ones."""

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.core.errors import Refused
from qubes_manager.guest.archive import unpacking
from qubes_manager.guest.archive.unpacking import refuse_without_room, unpack
from tests.guest.archive.archives import PLENTY, file, folder, hostile, packed, special, unpacked, with_digest

Members = list[tuple[tarfile.TarInfo, bytes]]


def _sized(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info, b""


def _pax(name: str, **values: str) -> tuple[tarfile.TarInfo, bytes]:
    info, content = file(name)
    info.pax_headers = {key.replace("_", "."): value for key, value in values.items()}
    return info, content


REFUSED: dict[str, Members] = {
    "climbs out": [file("../evil")],
    "climbs out in the middle": [folder("a"), file("a/../../evil")],
    "absolute": [file("/tmp/evil")],
    "a dot": [file(".")],
    "doubled slash": [folder("a"), file("a//b")],
    "device": [special("null", tarfile.CHRTYPE)],
    "disk": [special("sda", tarfile.BLKTYPE)],
    "pipe": [special("pipe", tarfile.FIFOTYPE)],
    "hard link": [file("a"), special("b", tarfile.LNKTYPE, "a")],
    "hard link out": [special("b", tarfile.LNKTYPE, "/etc/passwd")],
    "link beside all": [special("a", tarfile.SYMTYPE, "b")],
    "link out": [folder("a"), special("a/b", tarfile.SYMTYPE, "../../.bashrc")],
    "absolute link": [folder("a"), special("a/b", tarfile.SYMTYPE, "/etc")],
    "file through a link": [folder("a"), special("a/b", tarfile.SYMTYPE, "c"), file("a/b/d")],
    "twice": [folder("a"), file("a/b"), file("a/b")],
    "folder over a file": [folder("a"), file("a/b"), folder("a/b")],
    "file without its folder": [file("a/b")],
    "a folder that is over": [folder("a"), folder("a/b"), file("a/c"), file("a/b/d")],
    "controls in a name": [file("a\nb")],
    "reordered name": [file("\u202egpj.exe")],
    "deceiving target": [folder("a"), special("a/b", tarfile.SYMTYPE, "c\u202e")],
    "too deep": [folder("/".join(["d"] * depth)) for depth in range(1, 102)],
    "name too long": [file("n" * 256)],
    "header too long": [_pax("a", comment="c" * 100_000)],
    "sparse": [special("a", tarfile.GNUTYPE_SPARSE)],
    "sparse by pax": [_pax("a", GNU_sparse_major="1", GNU_sparse_minor="0")],
    "sparse map": [_pax("a", GNU_sparse_map="0,1")],
    "folder with bytes": [_sized("a", 512, tarfile.DIRTYPE)],
    "negative size": [_pax("a", size="-512")],
    "another size": [_pax("a", size="99999999999")],
    "unknown kind": [special("a", b"Z")],
    "ends in the middle": [_sized("a", 1 << 20)],
    "huge": [_sized("a", 1 << 40)],
}


@pytest.mark.parametrize("members", REFUSED.values(), ids=REFUSED.keys())
def test_what_a_hostile_sender_packs_is_refused(members: Members, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(Refused):
        unpacked(hostile([file("harmless"), *members]), target)
    assert list(target.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("kind", [tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_no_header_stays_in_memory(kind: bytes, tmp_path: Path) -> None:
    """Global headers add up, and a long one is taken whole: neither is let come so far."""
    body = b"30 comment=aaaaaaaaaaaaaaaaaa\n".ljust(512, b"\0")
    info, _ = _sized("x", len(body), kind)
    with pytest.raises(Refused):
        unpacked(hostile([(info, body)] * 500 + [file("a")]), tmp_path)
    endless, _ = _sized("x", (1 << 33) - 1, kind)
    with pytest.raises(Refused, match="headers"):
        unpacked(hostile([(endless, b"")]), tmp_path)


def test_headers_that_take_long_to_read_are_bounded(tmp_path: Path) -> None:
    info, _ = _sized("x", 20 << 10, tarfile.XHDTYPE)
    begun = time.process_time()
    with pytest.raises(Refused):
        unpacked(hostile([(info, b"1" * (20 << 10)), (info, b"1" * (20 << 10))]), tmp_path)
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("tail", [b"", bytes(512), bytes(512) + b"x" * 512, bytes(512) + b"x" * 32])
def test_an_archive_without_its_end_is_refused(tail: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        unpacked(hostile([file("a")], tail), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_header_is_no_end(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        unpacked(hostile([file("a")], b"x" * 512 + bytes(1024)), tmp_path)


def test_bytes_that_changed_on_the_way_are_noticed(tmp_path: Path) -> None:
    stream = bytearray(hostile([file("a", b"content")]))
    stream[stream.index(b"content")] ^= 1
    with pytest.raises(Refused, match="digest"):
        unpacked(bytes(stream), tmp_path)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_stream_that_was_tampered_with_leaves_all_or_nothing(data: st.DataObject, tmp_path: Path) -> None:
    target = tmp_path / str(time.monotonic_ns())
    target.mkdir()
    stream = bytearray(hostile([folder("a"), file("a/b", b"y" * 700), special("a/c", tarfile.SYMTYPE, "b")]))
    archive = stream[:-32]
    for _ in range(data.draw(st.integers(1, 6))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    del archive[data.draw(st.integers(len(archive) // 2, len(archive))) :]
    try:
        unpacked(with_digest(bytes(archive)), target)
    except Refused:
        assert list(target.iterdir()) == []
    for path in target.rglob("*"):
        assert path.resolve().is_relative_to(target)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=4000))
def test_what_is_no_archive_is_refused(noise: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        unpacked(noise, tmp_path)


def test_unusual_names_are_taken_where_they_are_allowed(tmp_path: Path) -> None:
    assert unpacked(hostile([file("a\nb")]), tmp_path, all_names=True).names == ("a\nb",)


@pytest.mark.parametrize("name", ["../a", "a/../b", "/a"])
def test_no_permission_lets_a_name_climb_out(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        unpacked(hostile([file(name)]), tmp_path, all_names=True)


def test_modes_that_give_rights_away_are_taken_off(tmp_path: Path) -> None:
    one, content = file("set")
    one.mode = 0o6777
    shut, _ = folder("shut")
    shut.mode = 0
    unpacked(hostile([(one, content), (shut, b""), file("shut/in")]), tmp_path)
    assert (tmp_path / "set").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "shut").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("when", ["nan", "inf", "-1e300", "99999999999999999999"])
def test_times_that_make_no_sense_are_none(when: str, tmp_path: Path) -> None:
    unpacked(hostile([_pax("a", mtime=when)]), tmp_path)
    assert (tmp_path / "a").stat().st_mtime == 0


def test_more_than_was_said_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="more comes"):
        unpacked(hostile([file("a", bytes(20 << 20))]), tmp_path, Offer(100, 1))
    with pytest.raises(Refused, match="more comes"):
        unpacked(hostile(file(str(number), b"") for number in range(1200)), tmp_path, Offer(100, 1))
    assert list(tmp_path.iterdir()) == []


def test_names_beside_each_other_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_TOP", 10)
    with pytest.raises(Refused, match="more comes"):
        unpacked(hostile(file(str(number), b"") for number in range(11)), tmp_path)


def test_two_of_one_name_are_both_kept(tmp_path: Path) -> None:
    stream = hostile([folder("a"), file("a/1"), folder("a"), file("a/2")])
    assert unpacked(stream, tmp_path).names == ("a", "a (2)")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("?")) == ["a", "a (2)/2", "a/1"]


def test_what_is_there_is_neither_changed_nor_mixed_with_what_comes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_text("old")
    assert unpacked(hostile([folder("a"), file("a/old", b"new")]), tmp_path).names == ("a (2)",)
    assert (tmp_path / "a/old").read_text() == "old"


def test_what_comes_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    source = io.BytesIO(hostile([file("a", bytes(600_000)), folder("b"), file("b/c")]))
    seen = set[str]()

    def read(most: int) -> bytes:
        seen.update(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
        return source.read(min(most, 1000))

    assert unpack(read, tmp_path, PLENTY).names == ("a", "b")
    assert not seen


def test_the_origin_is_written_on_each_file(tmp_path: Path) -> None:
    try:
        os.setxattr(tmp_path, "user.test", b"")
    except OSError:
        pytest.skip("this file system has no attributes of the user's")
    unpack(io.BytesIO(hostile([folder("a"), file("a/b")])).read, tmp_path, PLENTY, origin="qubes://untrusted")
    assert os.getxattr(tmp_path / "a/b", "user.xdg.origin.url") == b"qubes://untrusted"


def test_what_a_killed_receiver_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.guest.archive.unpacking import unpack
def read(most):
    data = sys.stdin.buffer.read1(most)
    if not data:
        print("all", flush=True)
        time.sleep(60)
    return data
unpack(read, Path(sys.argv[1]), Offer(1 << 30, 10))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as receiver:
        assert receiver.stdin
        assert receiver.stdout
        receiver.stdin.write(hostile([folder("a"), file("a/b", bytes(100_000))])[:90_000])
        receiver.stdin.close()
        assert receiver.stdout.readline() == b"all\n"
        [hidden] = tmp_path.iterdir()
        # As long as it lives, nobody takes it away from it.
        unpacked_beside(tmp_path)
        assert hidden.exists()
        receiver.kill()
    unpacked_beside(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x (2)"]


def unpacked_beside(folder: Path) -> None:
    """Something small comes into *folder*."""
    unpack(io.BytesIO(hostile([file("x")])).read, folder, PLENTY)


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Refused, match="the disk is full"):
        unpacked(hostile([file("a")]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_said_ahead(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no room"):
        refuse_without_room(tmp_path, Offer(1 << 60, 1))


@pytest.mark.parametrize("size", [64 << 20])
def test_memory_does_not_grow_with_what_comes(size: int, tmp_path: Path) -> None:
    """A whole process each: its peak is told by the kernel, and is the same for one byte and for many."""

    def peak(made: int, count: int) -> int:
        code = """
import resource, sys, tarfile
from pathlib import Path
from qubes_manager.core.crossing.file_messages import Offer
from qubes_manager.guest.archive.unpacking import unpack
size, count = int(sys.argv[2]), int(sys.argv[3])
def stream():
    info = tarfile.TarInfo("d"); info.type = tarfile.DIRTYPE
    yield info.tobuf()
    for number in range(count):
        yield tarfile.TarInfo(f"d/{number}").tobuf()
    info = tarfile.TarInfo("d/large"); info.size = size
    yield info.tobuf()
    for _ in range(size >> 16):
        yield bytes(1 << 16)
parts, rest = stream(), b""
def read(most):
    global rest
    rest = rest or next(parts, b"")
    data, rest = rest[:most], rest[most:]
    return data
try:
    unpack(read, Path(sys.argv[1]), Offer(1 << 40, 1 << 20))
except Exception as error:
    assert "in the middle" in str(error), error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
        run = [sys.executable, "-c", code, str(tmp_path), str(made), str(count)]
        return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    assert peak(size, 3000) - peak(1 << 16, 1) < 4 << 10


def test_a_tree_comes_in_pieces_of_any_size(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(os.urandom(5000))
    stream, sent, _problems = packed(tmp_path / "tree")
    target = tmp_path / "target"
    target.mkdir()
    source = io.BytesIO(stream)
    read: Callable[[int], bytes] = lambda most: source.read(min(most, 7))  # noqa: E731
    assert unpack(read, target, PLENTY).sha256 == sent.sha256


def test_what_the_user_calls_nearly_as_a_copy_that_goes_on_stays(tmp_path: Path) -> None:
    unpacked(hostile([folder(".incoming-mail")]), tmp_path)
    unpacked(hostile([file("a")]), tmp_path)
    assert (tmp_path / ".incoming-mail").is_dir()
