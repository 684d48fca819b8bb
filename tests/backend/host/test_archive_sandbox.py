"""Archives that strangers wrote, taken apart in the sandbox: what comes out is plain, bounded, and has its reason."""

import asyncio
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from qubes_manager.backend.host import archive_sandbox, sandboxed_program
from qubes_manager.backend.host.archive_sandbox import members_of
from qubes_manager.core.errors import GuestError, Refused
from qubes_manager.guest.archive.packing import pack
from qubes_manager.guest.archive.walking import survey

Change = Callable[[tarfile.TarInfo], object]


async def in_pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def packed(*paths: Path) -> bytes:
    out = bytearray()
    pack(survey(paths), out.extend, problem=lambda path, reason: pytest.fail(f"{path}: {reason}"))
    return bytes(out)


def written(*members: tuple[str, bytes], change: Change = lambda _info: None) -> bytes:
    """An archive of these files, with its digest."""
    out = io.BytesIO()
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        change(info)
        out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        out.write(data + bytes(-len(data) % 512))
    out.write(bytes(1024))
    return out.getvalue() + hashlib.sha256(out.getvalue()).digest()


async def told(archive: bytes, *, all_names: bool = False) -> dict[str, bytes]:
    async with members_of(in_pieces(archive), all_names=all_names) as members:
        return {member.name: b"".join([piece async for piece in member.pieces]) async for member in members}


async def test_what_was_packed_comes_out_with_every_byte(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/a").write_bytes(os.urandom(1_000_000))
    (tree / "link").symlink_to("sub")
    (tree / "empty").touch()
    async with members_of(in_pieces(packed(tree))) as members:
        found = {member.name: member async for member in members}
    assert {name: (m.is_folder, m.is_link, m.size) for name, m in found.items()} == {
        "tree": (True, False, 0),
        "tree/sub": (True, False, 0),
        "tree/sub/a": (False, False, 1_000_000),
        "tree/link": (False, True, 0),
        "tree/empty": (False, False, 0),
    }
    assert (await told(packed(tree)))["tree/sub/a"] == (tree / "sub/a").read_bytes()


async def test_bytes_that_nobody_reads_are_passed_over() -> None:
    archive = written(("a", b"x" * 700_000), ("b", b"y"))
    async with members_of(in_pieces(archive)) as members:
        assert [member.name async for member in members] == ["a", "b"]


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"", "ends in the middle"),
        (b"no archive at all" * 100, "no archive"),
        (written(("a", b"x" * 5000))[:3000], "ends in the middle"),
        (written(("a", b"x"))[:-1] + b"?", "digests differ"),
        (written(("../a", b"")), "no plain name"),
        (written(("/etc/passwd", b"")), "no plain name"),
        (written(("a/./b", b"")), "no plain name"),
        (written(("a\nb", b"")), "unusual characters"),
        (written(("\u202etxt.exe", b"")), "unusual characters"),
        (written(("x" * 300, b"")), "too long"),
        (written(("a", b""), change=lambda info: setattr(info, "type", tarfile.CHRTYPE)), "no file, folder or link"),
        (written(("a", b""), change=lambda info: setattr(info, "type", tarfile.LNKTYPE)), "no file, folder or link"),
        (written(("a", b"x" * 512), change=lambda info: setattr(info, "size", 1 << 50)), "ends in the middle"),
    ],
    ids=[
        *("nothing", "no archive", "cut short", "digest", "above", "absolute", "dot", "newline", "bidi", "long"),
        *("device", "hard link", "endless size"),
    ],
)
async def test_what_is_no_good_archive_is_refused_with_its_reason(archive: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        await told(archive)


async def test_unusual_names_come_through_where_they_may() -> None:
    assert await told(written(("a\nb", b"1"), ("\u202etxt.exe", b"2")), all_names=True) == {
        "a\nb": b"1",
        "\u202etxt.exe": b"2",
    }


async def test_why_the_bytes_stopped_is_what_is_said() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield written(("a", b"x" * 100_000))[:50_000]
        raise GuestError("“work” has ended")

    with pytest.raises(GuestError, match="has ended"):
        async with members_of(failing()) as members:
            async for member in members:
                async for _piece in member.pieces:
                    pass


def children() -> set[str]:
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


async def test_who_stops_reading_leaves_no_process_behind() -> None:
    before = children()
    async with members_of(in_pieces(written(("a", b"x" * 5_000_000)))) as members:
        await anext(members)
        assert children() > before
    assert children() == before


async def test_a_sender_that_says_nothing_can_be_left() -> None:
    async def silent() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def take() -> None:
        async with members_of(silent()) as members:
            async for _member in members:
                pass

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await take()


@pytest.mark.parametrize("where", ["at once", "in the middle of a member", "when all has been said"])
async def test_a_parser_that_does_not_go_on_is_left(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    member = '{"type": "member", "name": "a", "is_folder": false, "is_link": false, "size": 9, "mode": 0, "changed": 0}'
    said = {
        "at once": "",
        "in the middle of a member": f"{member}\nhalf",
        "when all has been said": f"{member}\n{'x' * 9}",
    }
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("__main__.py", f"import time\nprint({said[where]!r}, end='', flush=True)\ntime.sleep(3600)")
    monkeypatch.setattr(archive_sandbox, "_program", program.getvalue)
    monkeypatch.setattr(sandboxed_program, "PATIENCE", 0.5)
    before = children()
    with pytest.raises(Refused, match="its parser does not go on"):
        await told(written(("a", b"x")))
    assert children() == before


async def test_a_sender_may_take_longer_than_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxed_program, "PATIENCE", 0.05)
    archive = written(("a", b"x" * 1000))

    async def slow() -> AsyncIterator[bytes]:
        yield archive[:600]
        await asyncio.sleep(0.2)
        # What the parser has from here on it may take its time for.
        monkeypatch.setattr(sandboxed_program, "PATIENCE", 60)
        await asyncio.sleep(0.1)
        yield archive[600:]

    async with members_of(slow()) as members:
        assert [member.name async for member in members] == ["a"]
