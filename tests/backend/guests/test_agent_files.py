"""Files of a guest that has nothing but an agent: the scripts run in this machine's own shell."""

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import libvirt_qemu
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests import agent_files
from qubes_manager.backend.guests.agent_files import AgentFiles, AgentReceiver
from qubes_manager.backend.guests.guest_agent import GuestAgent
from qubes_manager.core.crossing.copying import Member
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.listing import FileKind
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, NotFound, Refused
from tests.backend.guests.shell_agent import ShellAgent

KEY = DomainKey("test:///default", "11111111-1111-4111-8111-111111111111")
ODD = ["two\nlines", "-rf", "'quoted' \"twice\" $HOME", "\u202etxt.exe", os.fsdecode(b"no \xff UTF-8"), ".hidden", "*"]


class Handle:
    """Stands for libvirt's handle of a running domain."""

    def agentSetResponseTimeout(self, _seconds: int, _flags: int) -> int:
        return 0


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShellAgent]:
    (tmp_path / "home").mkdir()
    shell = ShellAgent(tmp_path / "home")
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", shell)
    yield shell
    shell.close()


@pytest.fixture
def files(driver: LibvirtConnection, shell: ShellAgent) -> AgentFiles:
    driver.handles[KEY.uuid] = Handle()
    return AgentFiles(GuestAgent(driver, Domain(KEY, "work", DomainState.RUNNING)), "work")


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def received(receiver: AgentReceiver, names: Mapping[str, bytes], clash: Clash = Clash.NUMBER) -> dict[str, str]:
    for name, data in names.items():
        await receiver.add(file(name, data))
    return dict((await receiver.finish(clash)).names)


def file(name: str, *data: bytes, mode: int = 0o644) -> Member:
    return Member(name, False, sum(map(len, data)), mode, 0, pieces(*data))


def incoming(shell: ShellAgent) -> dict[str, bytes]:
    folder = shell.home / "QubesIncoming/personal"
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


async def test_a_folder_is_told_with_every_name_that_a_file_may_have(files: AgentFiles, shell: ShellAgent) -> None:
    for name in ODD:
        (shell.home / name).write_bytes(b"abc")
    (shell.home / "folder").mkdir()
    (shell.home / "link").symlink_to("folder")
    (shell.home / "nowhere").symlink_to("gone")
    os.mkfifo(shell.home / "pipe")
    os.utime(shell.home / "*", (5, 7))
    listing = await files.listing("")
    assert (listing.path, listing.is_cut) == (str(shell.home), False)
    assert listing.free > 0
    found = {entry.name: entry for entry in listing.entries}
    assert set(found) == {*ODD, "folder", "link", "pipe"}
    assert (found["*"].size, found["*"].changed, found["*"].kind) == (3, 7, FileKind.FILE)
    assert [found[name].kind for name in ("folder", "link", "pipe")] == [
        FileKind.FOLDER,
        FileKind.FOLDER,
        FileKind.OTHER,
    ]


async def test_an_empty_folder_is_one(files: AgentFiles) -> None:
    assert (await files.listing("")).entries == ()


async def test_a_folder_of_too_many_files_is_told_in_part(
    files: AgentFiles, shell: ShellAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_files, "_LIST", agent_files._LIST.replace("5000", "3"))
    for number in range(5):
        (shell.home / str(number)).touch()
    listing = await files.listing("")
    assert ([entry.name for entry in listing.entries], listing.is_cut) == (["0", "1", "2"], True)


async def test_a_folder_that_is_not_there_is_said_so(files: AgentFiles) -> None:
    with pytest.raises(NotFound, match="no such file or folder"):
        await files.listing("/nowhere")


async def test_files_are_found_and_read_to_the_letter(files: AgentFiles, shell: ShellAgent) -> None:
    tree = shell.home / "my tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/two\nlines").write_bytes(bytes(range(256)) * 1000)
    (tree / "link").symlink_to("/etc/passwd")
    (shell.home / "one").write_bytes(b"1")
    survey = await files.walk([str(tree), str(shell.home / "one")])
    found = survey.members
    assert survey.size == 256_001
    assert [(f.name, f.is_folder) for f in found] == [
        ("my tree", True),
        ("my tree/sub", True),
        ("my tree/sub/two\nlines", False),
        ("one", False),
    ]
    assert b"".join([piece async for piece in found[2].pieces]) == bytes(range(256)) * 1000
    assert shell.open_files == 0


async def test_what_is_not_there_is_no_empty_copy(files: AgentFiles, shell: ShellAgent) -> None:
    with pytest.raises(GuestError, match="no such file or folder"):
        await files.walk([str(shell.home / "gone")])


async def test_too_many_files_are_refused_with_a_way_out(
    files: AgentFiles, shell: ShellAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_files, "MAX_FILES", 1)
    for number in range(2):
        (shell.home / str(number)).touch()
    with pytest.raises(Refused, match="pack them in one file"):
        await files.walk([str(shell.home)])


async def test_a_file_that_became_shorter_is_no_whole_copy(files: AgentFiles, shell: ShellAgent) -> None:
    path = shell.home / "log"
    path.write_bytes(b"x" * 10)
    found = await files.walk([str(path)])
    path.write_bytes(b"x")
    with pytest.raises(GuestError, match="became shorter"):
        [piece async for piece in found.members[0].pieces]


async def test_a_file_that_grows_without_end_is_read_as_far_as_it_went(files: AgentFiles, shell: ShellAgent) -> None:
    path = shell.home / "log"
    path.write_bytes(b"x" * 10)
    found = await files.walk([str(path)])
    path.write_bytes(b"y" * 1_000_000)
    assert b"".join([piece async for piece in found.members[0].pieces]) == b"y" * 10


async def test_a_name_that_the_agent_cannot_be_told_is_said_so(files: AgentFiles, shell: ShellAgent) -> None:
    path = shell.home / os.fsdecode(b"no \xff UTF-8")
    path.touch()
    with pytest.raises(GuestError, match="no UTF-8"):
        [piece async for piece in (await files.walk([str(path)])).members[0].pieces]


async def test_a_copy_is_seen_only_when_it_is_whole(files: AgentFiles, shell: ShellAgent) -> None:
    receiver = await files.receive("personal")
    assert (await receiver.room()).size
    await receiver.add(Member("tree", True, 0, 0o755, 0))
    await receiver.add(file("tree/a\nb", b"x" * 100_000, b"", b"y", mode=0o755))
    for name in ODD:
        await receiver.add(file(name, os.fsencode(name), mode=0o4400))
    folder = shell.home / "QubesIncoming/personal"
    assert all(path.name.startswith(".copying-") for path in folder.iterdir())
    landed = await receiver.finish(Clash.NUMBER)
    assert landed.is_proved
    assert landed.names == {name: name for name in ("tree", *ODD)}
    assert (folder / "tree/a\nb").read_bytes() == b"x" * 100_000 + b"y"
    assert {path.name for path in folder.iterdir()} == {"tree", *ODD}
    assert (folder / "*").stat().st_mode & 0o7777 == 0o600
    assert shell.open_files == 0


@pytest.mark.parametrize(
    ("clash", "names", "content"),
    [
        (Clash.NUMBER, {"a.txt": "a (3).txt"}, {"a.txt": b"old", "a (2).txt": b"older", "a (3).txt": b"new"}),
        (Clash.REPLACE, {"a.txt": "a.txt"}, {"a.txt": b"new", "a (2).txt": b"older"}),
        (Clash.SKIP, {"a.txt": ""}, {"a.txt": b"old", "a (2).txt": b"older"}),
    ],
)
async def test_a_name_that_is_taken_is_numbered_replaced_or_skipped(
    files: AgentFiles, shell: ShellAgent, clash: Clash, names: Mapping[str, str], content: Mapping[str, bytes]
) -> None:
    for name, data in {"a.txt": b"old", "a (2).txt": b"older"}.items():
        await received(await files.receive("personal"), {name: data})
    assert await received(await files.receive("personal"), {"a.txt": b"new"}, clash) == names
    assert incoming(shell) == content


async def test_what_arrives_otherwise_than_it_was_sent_is_not_kept(files: AgentFiles, shell: ShellAgent) -> None:
    def forget(command: str, arguments: Mapping[str, Any]) -> object:
        return {"count": 3} if command == "guest-file-write" and arguments["buf-b64"] == "YWJj" else None

    shell.before = forget
    receiver = await files.receive("personal")
    await receiver.add(file("a", b"abc"))
    with pytest.raises(GuestError, match="not what was sent"):
        await receiver.finish(Clash.NUMBER)
    await receiver.drop()
    assert list((shell.home / "QubesIncoming/personal").iterdir()) == []


async def test_what_was_left_of_a_copy_goes_some_days_later(files: AgentFiles, shell: ShellAgent) -> None:
    old, fresh = (shell.home / f"QubesIncoming/personal/.copying-{name}" for name in ("old", "fresh"))
    for path in (old, fresh):
        path.mkdir(parents=True)
        (path / "0").touch()
    os.utime(old, (0, 0))
    await (await files.receive("personal")).drop()
    assert (old.exists(), fresh.exists()) == (False, True)


async def test_without_a_digest_of_the_guest_nothing_is_proved(
    files: AgentFiles, shell: ShellAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_files, "_DIGEST", "exit 0")
    receiver = await files.receive("personal")
    await receiver.add(file("a", b"abc"))
    assert not (await receiver.finish(Clash.NUMBER)).is_proved
    assert incoming(shell) == {"a": b"abc"}


async def test_a_disk_that_is_full_is_said_with_the_guests_own_words(files: AgentFiles, shell: ShellAgent) -> None:
    def full(command: str, _arguments: Mapping[str, Any]) -> object:
        error = {"error": {"desc": "failed to write to file: No space left on device"}}
        return json.dumps(error) if command == "guest-file-write" else None

    receiver = await files.receive("personal")
    await files.listing("")
    shell.before = full
    with pytest.raises(GuestError):
        await receiver.add(file("a", b"abc"))
    shell.before = lambda _command, _arguments: None
    await receiver.drop()
    assert list((shell.home / "QubesIncoming/personal").iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        b"/home\0free\n\0",
        b"/home\0" + b"9" * 5000 + b" 1 1\n\0",
        b"/home\0001 1 1\nfa\0\0",
        b"/home\0001 1 1\nf\0\0001 1\n",
    ],
    ids=["nothing", "no folder", "no number", "endless number", "too few lines", "no name"],
)
async def test_a_list_that_makes_no_sense_is_refused(
    files: AgentFiles, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    octal = "".join(f"\\{byte:03o}" for byte in answer)
    monkeypatch.setattr(agent_files, "_LIST", f"printf '{octal}'")
    with pytest.raises(GuestError):
        await files.listing("")


async def test_a_guest_cannot_make_a_file_of_a_folder_that_was_not_asked_for(
    files: AgentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/etc/shadow", "/asked/../../etc/shadow", "/asked-not/x"):
        monkeypatch.setattr(agent_files, "_WALK", f"printf '{path}\\0\\0008180 5 5\\n'")
        with pytest.raises(GuestError, match="makes no sense"):
            await files.walk(["/asked"])
