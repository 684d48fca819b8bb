"""What a domain sends into this machine: marked, never to be run, seen only when whole, and where it belongs."""

import asyncio
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from qubes_manager.backend.host import incoming_files
from qubes_manager.backend.host.incoming_files import IncomingFiles
from qubes_manager.core.crossing.copying import Arrived, Member, Room
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.remarks import MAX_TOLD
from qubes_manager.core.errors import GuestError, QubesManagerError, Refused
from tests.killed import at_each_step
from tests.waiting import until


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def file(name: str, *data: bytes, mode: int = 0o644) -> Member:
    return Member(name, False, sum(map(len, data)), mode, 7, pieces(*data))


def folder(name: str) -> Member:
    return Member(name, True, 0, 0o755, 7)


@pytest.fixture
async def incoming(tmp_path: Path) -> AsyncIterator[IncomingFiles]:
    incoming = IncomingFiles(tmp_path / "QubesIncoming/work", "domain:work")
    await incoming.begin()
    yield incoming
    await incoming.drop()


def seen(incoming: IncomingFiles) -> dict[str, bytes]:
    found = (p for p in incoming.folder.rglob("*") if p.is_file() and ".incoming-" not in str(p))
    return {str(p.relative_to(incoming.folder)): p.read_bytes() for p in found}


async def test_files_are_seen_when_all_are_there_marked_and_never_to_be_run(incoming: IncomingFiles) -> None:
    assert (await incoming.room()).size
    for member in (folder("tree"), file("tree/a\nb", b"1", b"2", mode=0o4777), file("b.sh", b"#!/bin/sh", mode=0o755)):
        await incoming.add(member)
    assert seen(incoming) == {}
    landed = await incoming.finish(Clash.NUMBER)
    await incoming.drop()
    assert seen(incoming) == {"tree/a\nb": b"12", "b.sh": b"#!/bin/sh"}
    assert landed.is_proved
    assert landed.files == (
        Arrived("tree/a\nb", 2, hashlib.sha256(b"12").hexdigest()),
        Arrived("b.sh", 9, hashlib.sha256(b"#!/bin/sh").hexdigest()),
    )
    for name in ("tree/a\nb", "b.sh"):
        path = incoming.folder / name
        assert (path.stat().st_mode & 0o7777, path.stat().st_mtime) == (0o600, 7)
        assert os.getxattr(path, "user.xdg.origin.url") == b"domain:work"
    assert incoming.folder.stat().st_mode & 0o7777 == 0o700
    assert {path.name for path in incoming.folder.iterdir()} == {"tree", "b.sh"}


@pytest.mark.parametrize(
    ("clash", "content", "arrived"),
    [
        (Clash.NUMBER, {"a.txt": b"old", "a (2).txt": b"new"}, "a (2).txt"),
        (Clash.REPLACE, {"a.txt": b"new"}, "a.txt"),
        (Clash.SKIP, {"a.txt": b"old"}, ""),
    ],
)
async def test_a_name_that_is_taken_is_numbered_replaced_or_skipped(
    incoming: IncomingFiles, clash: Clash, content: Mapping[str, bytes], arrived: str
) -> None:
    (incoming.folder / "a.txt").write_bytes(b"old")
    await incoming.add(file("a.txt", b"new"))
    landed = await incoming.finish(clash)
    await incoming.drop()
    assert (seen(incoming), landed.names) == (content, {"a.txt": arrived})
    assert [told.name for told in landed.files] == ([arrived] if arrived else [])


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "", ".", "a//b", "nul\0", "x" * 300])
async def test_no_name_leads_out_of_the_folder(incoming: IncomingFiles, name: str) -> None:
    with pytest.raises(Refused, match=r"plain name|zero byte|too long"):
        await incoming.add(file(name, b"x"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a", "came twice"), ("nowhere/a", "“nowhere/a” cannot be written here"), ("a/b", "“a/b” cannot be written here")],
)
async def test_what_comes_twice_or_without_its_folder_is_refused(
    incoming: IncomingFiles, name: str, reason: str
) -> None:
    await incoming.add(file("a", b"x"))
    with pytest.raises(QubesManagerError, match=reason):
        await incoming.add(file(name, b"y"))
        await incoming.finish(Clash.NUMBER)
    assert seen(incoming) == {}


async def test_a_copy_that_is_dropped_leaves_nothing(incoming: IncomingFiles) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise GuestError("gone")

    with pytest.raises(GuestError):
        await incoming.add(Member("a", False, 8, 0o600, 0, breaking()))
    await incoming.drop()
    assert list(incoming.folder.iterdir()) == []


async def test_a_full_disk_is_said_plainly(incoming: IncomingFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(incoming_files, "write_all", full)
    with pytest.raises(Refused, match="disk is full"):
        # As much as would fill memory, if what cannot be written were kept.
        await incoming.add(file("a", *[bytes(1 << 18)] * 100))


def facts(files: int = 1000, free_files: int = 999, blocks: int = 1000, free_blocks: int = 999) -> os.statvfs_result:
    """Those of a file system of 4 MiB."""
    return os.statvfs_result((4096, 4096, blocks, free_blocks, free_blocks, files, free_files, free_files, 0, 255))


@pytest.mark.parametrize(
    ("there", "room"),
    [
        (facts(), Room(949 * 4096, 949)),
        (facts(free_blocks=50, free_files=50), Room(0, 0)),
        (facts(files=0, free_files=0), Room(949 * 4096, None)),
        (facts(blocks=0, free_blocks=0), Room(None, 949)),
    ],
    ids=["a part stays free", "nothing is left", "files are not counted", "bytes are not told"],
)
async def test_a_part_of_the_disk_stays_free(
    incoming: IncomingFiles, there: os.statvfs_result, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _file: there)
    assert await incoming.room() == room


@pytest.mark.parametrize("full", [facts(free_blocks=50), facts(free_files=50)], ids=["bytes", "files"])
async def test_a_disk_that_others_fill_meanwhile_is_left_in_time(
    incoming: IncomingFiles, full: os.statvfs_result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming_files, "_LOOK_COUNT", 2)
    await incoming.add(file("a", b"x"))
    await incoming.room()
    monkeypatch.setattr(os, "fstatvfs", lambda _file: full)
    with pytest.raises(Refused, match="the disk is almost full: nothing was kept"):
        for number in range(2000):
            await incoming.add(folder(f"b{number}"))
    await incoming.drop()
    assert list(incoming.folder.iterdir()) == []


@pytest.mark.parametrize("bound", ["MAX_COUNT", "MAX_TOP"])
async def test_more_files_than_one_copy_may_have_are_refused_with_a_way_out(
    incoming: IncomingFiles, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming_files, bound, 2)
    with pytest.raises(Refused, match="pack them in one file"):
        for number in range(3):
            await incoming.add(file(str(number), b""))
        await incoming.finish(Clash.NUMBER)


async def test_of_many_files_only_the_first_are_told(incoming: IncomingFiles) -> None:
    await incoming.add(folder("tree"))
    for number in range(300):
        await incoming.add(file(f"tree/{number}", b"x"))
    landed = await incoming.finish(Clash.NUMBER)
    assert (len(landed.files), landed.names) == (MAX_TOLD, {"tree": "tree"})


async def test_a_file_system_that_does_not_answer_keeps_nothing_else_waiting(
    incoming: IncomingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, taken = threading.Event(), 0

    def hang(_file: int, _data: bytes) -> None:
        answers.wait(60)

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1 << 18)

    monkeypatch.setattr(incoming_files, "write_all", hang)
    monkeypatch.setattr(incoming_files, "_PATIENCE", 0.05)
    adding = asyncio.create_task(incoming.add(Member("a", False, 1 << 40, 0o600, 0, endless())))
    await until(lambda: taken)
    # No more is taken than may wait, though all else goes on.
    for _turn in range(100):
        await asyncio.sleep(0)
    assert taken < 3
    adding.cancel()
    # The copy can be left before the file system answers, and what it has left goes when it does.
    await incoming.drop()
    assert len(list(incoming.folder.iterdir())) == 1
    answers.set()
    await until(lambda: not list(incoming.folder.iterdir()))


async def test_what_was_left_by_who_was_killed_is_removed_and_what_goes_on_is_not(incoming: IncomingFiles) -> None:
    left = incoming.folder / ".incoming-0123456789abcdef"
    left.mkdir()
    (left / "half").touch()
    other = IncomingFiles(incoming.folder, "domain:work")
    await other.begin()
    assert not left.exists()
    await incoming.add(file("a", b"x"))
    assert (await incoming.finish(Clash.NUMBER)).names == {"a": "a"}
    await other.drop()


@pytest.mark.parametrize("clash", [Clash.NUMBER, Clash.REPLACE], ids=["number", "replace"])
def test_a_program_that_is_killed_at_any_step_leaves_each_name_old_or_new_and_whole(
    clash: Clash, tmp_path: Path
) -> None:
    place, old, new = tmp_path / "QubesIncoming/work", b"old", b"new" * 1000
    place.mkdir(parents=True)

    def take() -> None:
        writing = incoming_files._Writing(place, b"domain:work")
        writing.begin()
        for parts in (("tree",), ("tree", "a"), ("b",)):
            if parts == ("tree",):
                writing.make_folder(parts)
                continue
            writing.begin_file(parts)
            writing.write(new)
            writing.end_file(7)
        writing.finish(clash)
        writing.drop()

    (place / "b").write_bytes(old)
    whole = {"tree/a": new, **({"b": new} if clash is Clash.REPLACE else {"b": old, "b (2)": new})}
    seen_states = set[int]()
    for is_through in at_each_step(take):
        found = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        shown = {name: data for name, data in found.items() if not name.startswith(".incoming-")}
        assert shown["b"] in (old, whole["b"])
        assert shown.items() <= {**whole, "b": shown["b"]}.items()
        assert shown == whole or not is_through
        seen_states.add(len(shown))
        shutil.rmtree(place / "tree", ignore_errors=True)
        (place / "b (2)").unlink(missing_ok=True)
        (place / "b").write_bytes(old)
    assert len(seen_states) == len(whole)
    assert [path.name for path in place.iterdir()] == ["b"], "what others left is cleared up"
