"""Copying and moving between two domains, each a folder of this machine; the receiving service is the real one."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qubes_manager.guest.commands.copying import copy_command
from qubes_manager.guest.commands.sending import names_to_ask
from tests.guest.domains import Asked, Domain
from tests.waiting import PATIENCE


@pytest.fixture
def work(tmp_path: Path) -> Domain:
    """The domain that receives."""
    home = tmp_path / "work"
    home.mkdir()
    return Domain(home)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the domain that sends."""
    folder = tmp_path / "personal"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def copy(work: Domain, *arguments: str) -> int:
    return copy_command("qvm-copy", arguments, caller=work.call)


def move(work: Domain, *arguments: str) -> int:
    return copy_command("qvm-move", arguments, moves=True, caller=work.call)


def tree(folder: Path) -> dict[str, bytes]:
    """All files in a folder, but what is hidden."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_a_folder_is_copied(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "papers").mkdir()
    (here / "papers/one").write_bytes(b"1" * 5000)
    (here / "two").write_text("2")
    assert copy(work, "papers", "two") == 0
    assert tree(work.incoming) == tree(here)
    assert work.asked == [Asked("qubes.Filecopy", "", "@default", ("papers", "two"), 3, 5001)]
    assert (work.incoming.stat().st_mode & 0o777, work.incoming.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert capsys.readouterr().err == ""


def test_what_is_moved_is_gone_here(work: Domain, here: Path) -> None:
    (here / "papers/sub").mkdir(parents=True)
    (here / "papers/sub/one").write_text("1")
    (here / "papers/link").symlink_to("sub/one")
    assert move(work, "papers") == 0
    assert list(here.iterdir()) == []
    assert (work.incoming / "papers/link").read_text() == "1"


def test_a_name_that_exists_there_is_numbered(work: Domain, here: Path) -> None:
    (here / "a.txt").write_text("first")
    assert copy(work, "a.txt") == 0
    (here / "a.txt").write_text("second")
    assert move(work, "a.txt") == 0
    assert tree(work.incoming) == {"a.txt": b"first", "a (2).txt": b"second"}


def test_unusual_names_ask_for_a_leave_of_their_own(work: Domain, here: Path) -> None:
    (here / "a\nb").write_text("x")
    assert copy(work, "a\nb") == 0
    assert (work.asked[0].argument, work.asked[0].names) == ("allow-all-names", ("a\\nb",))
    assert tree(work.incoming) == {"a\nb": b"x"}


def test_what_cannot_be_sent_is_told_and_stays(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "papers").mkdir()
    (here / "papers/one").write_text("1")
    os.mkfifo(here / "papers/pipe")
    assert move(work, "papers", "missing") == 1
    assert tree(work.incoming) == {"papers/one": b"1"}
    assert [path.name for path in (here / "papers").iterdir()] == ["pipe"]
    said = capsys.readouterr().err
    assert "papers/pipe: is no file" in said
    assert "missing: No such file" in said
    assert "not all is moved: 2 stay" in said


def test_an_unreadable_file_is_never_deleted(work: Domain, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "secret").write_text("x")
    (here / "one").write_text("1")
    really_open = os.open

    # Root, who may run this, reads everything.
    def refuse(path: str, *rest: int, **others: int) -> int:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", path)
        return really_open(path, *rest, **others)

    monkeypatch.setattr(os, "open", refuse)
    assert move(work, "secret", "one") == 1
    assert [path.name for path in here.iterdir()] == ["secret"]


def test_links_can_be_left_out(work: Domain, here: Path) -> None:
    (here / "papers").mkdir()
    (here / "papers/link").symlink_to("/etc/passwd")
    assert copy(work, "--no-ignore-symlinks", "--ignore-symlinks", "papers") == 0
    assert copy(work, "--ignore-symlinks", "--no-ignore-symlinks", "papers") == 1


def test_the_last_option_counts(work: Domain, here: Path) -> None:
    (here / "-x").write_text("x")
    assert copy(work, "--without-progress", "--with-progress", "--", "-x") == 0


def test_nothing_to_send_asks_nobody(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert copy(work, "missing") == 1
    assert work.asked == []
    assert "missing: No such file" in capsys.readouterr().err


def test_a_refusal_is_said_and_has_its_code(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a").write_text("x")
    work.refuses = "no rule allows it"
    assert move(work, "a") == 126
    assert (here / "a").exists()
    assert capsys.readouterr().err == "qvm-move: not allowed: no rule allows it\n"


def test_a_target_can_be_named(work: Domain, here: Path) -> None:
    (here / "a").write_text("x")
    assert copy_command("qvm-copy-to-vm", ["work", "a"], has_target=True, caller=work.call) == 0
    assert work.asked[0].target == "work"


def test_swapped_arguments_are_noticed(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a").write_text("x")
    assert copy_command("qvm-copy-to-vm", ["a", "work"], has_target=True, caller=work.call) == 1
    assert "the domain's name comes first" in capsys.readouterr().err
    assert work.asked == []


def test_a_receiver_without_room_says_so_before_anything_is_sent(
    work: Domain, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (here / "huge").open("wb") as file:
        file.truncate(1 << 42)
    assert move(work, "huge") == 1
    assert "there is no room: 4.0 TiB are needed" in capsys.readouterr().err
    assert (here / "huge").exists()


def test_a_receiver_that_cannot_store_says_why(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a").write_text("x")
    (work.home / "QubesIncoming").write_text("in the way")
    assert move(work, "a") == 1
    assert "Not a directory" in capsys.readouterr().err
    assert (here / "a").exists()


@pytest.mark.parametrize("at", [1, 100, 70_000, 200_000, 204_000])
def test_a_receiver_that_is_killed_leaves_all_here_and_nothing_there(at: int, work: Domain, here: Path) -> None:
    (here / "papers").mkdir()
    (here / "papers/one").write_bytes(b"1" * 200_000)

    def kill(process: "subprocess.Popen[bytes]", count: int) -> None:
        if count >= at:
            process.kill()
            process.wait()

    work.on_written = kill
    before = tree(here)
    assert move(work, "papers") in (1, 125)
    assert tree(here) == before
    assert tree(work.home) in ({}, {f"QubesIncoming/personal/{name}": data for name, data in before.items()})


def test_a_receiver_that_lies_about_the_digest_gets_nothing_deleted(
    work: Domain, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a").write_text("x")

    def lie(data: bytes) -> bytes:
        mark = b'"sha256": "'
        at = data.find(mark) + len(mark)
        return data if at < len(mark) else data[:at] + b"0" * 64 + data[at + 64 :]

    work.on_read = lie
    assert move(work, "a") == 1
    assert (here / "a").exists()
    assert "something else than what was sent" in capsys.readouterr().err


@pytest.mark.parametrize("said", [b"x\n", b"y" * 100_000, b'{"type": "go"}\n{"type": "go"}\n', b"\0\n"], ids=range(4))
def test_a_receiver_that_talks_nonsense_gets_nothing_deleted(said: bytes, work: Domain, here: Path) -> None:
    (here / "a").write_text("x")
    work.on_read = lambda data: said if data else b""
    assert move(work, "a") in (1, 125)
    assert (here / "a").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("other"),
        lambda path: os.utime(path, (1, 1)),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.chmod(0o600),
    ],
    ids=["written", "touched", "a folder now", "another mode"],
)
def test_a_file_that_changed_after_it_was_sent_is_not_deleted(
    change: Callable[[Path], object], work: Domain, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "papers").mkdir()
    for name in ("a", "b"):
        (here / f"papers/{name}").write_text(name)
        (here / f"papers/{name}").chmod(0o644)
    changed: list[Path] = []

    def on_read(data: bytes) -> bytes:
        if b"stored" in data and not changed:
            changed.append(here / "papers/a")
            change(changed[0])
        return data

    work.on_read = on_read
    assert move(work, "papers") == 1
    assert [path.name for path in (here / "papers").iterdir()] == ["a"]
    assert tree(work.incoming) == {"papers/a": b"a", "papers/b": b"b"}
    assert "papers/a: was changed after it had been sent" in capsys.readouterr().err


def test_what_came_into_a_folder_meanwhile_stays(work: Domain, here: Path) -> None:
    (here / "papers").mkdir()
    (here / "papers/a").write_text("a")

    def on_read(data: bytes) -> bytes:
        if b"stored" in data:
            (here / "papers/new").write_text("new")
        return data

    work.on_read = on_read
    assert move(work, "papers") == 0
    assert tree(here) == {"papers/new": b"new"}


def test_a_sender_that_is_killed_leaves_nothing_half_there(work: Domain, here: Path, tmp_path: Path) -> None:
    service = work.start("filecopy")
    assert service.stdin
    assert service.stdout
    service.stdin.write(b'{"type": "offer", "size": 100000, "count": 1}\n')
    service.stdin.flush()
    assert service.stdout.readline() == b'{"type": "go"}\n'
    service.stdin.write(b"x" * 700)
    service.stdin.close()
    assert b"failure" in service.stdout.read()
    service.stdout.close()
    assert service.wait() == 1
    assert list(work.incoming.iterdir()) == []


def test_a_receiver_that_is_told_to_end_takes_away_what_has_come(work: Domain) -> None:
    service = work.start("filecopy")
    assert service.stdin
    assert service.stdout
    service.stdin.write(b'{"type": "offer", "size": 100000, "count": 1}\n')
    service.stdin.flush()
    assert service.stdout.readline() == b'{"type": "go"}\n'
    while not list(work.incoming.iterdir()):
        time.sleep(0.01)
    service.terminate()
    assert service.wait(PATIENCE) == 143
    service.stdout.close()
    service.stdin.close()
    assert list(work.incoming.iterdir()) == []


def test_the_names_that_are_asked_about_fit_into_a_message() -> None:
    names = names_to_ask([Path("🦊" * 60 + str(number)) for number in range(100)])
    assert 3 < len(names) <= 20
    assert len(names_to_ask([Path(str(number)) for number in range(100)])) == 20
    assert names_to_ask([Path()]) == (Path.cwd().name,)


def test_a_stop_by_the_user_deletes_nothing(work: Domain, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a").write_text("x")

    def stop(_process: "subprocess.Popen[bytes]", count: int) -> None:
        if count > 600:
            raise KeyboardInterrupt

    work.on_written = stop
    assert move(work, "a") == 130
    assert (here / "a").exists()
    assert tree(work.home) == {}
    assert capsys.readouterr().err == "qvm-move: stopped\n"


def test_the_terminal_shows_how_far_it_is(work: Domain, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    (here / "a").write_bytes(bytes(2 << 20))
    assert copy(work, "a") == 0
    assert "2.0 MiB are in “work” now" in shown.getvalue()


def test_what_the_host_waits_for_is_said_at_once(
    work: Domain, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "a").write_text("x")
    work.waits = "“work” is being started\nwaiting for “work”\n"
    said = list[str]()
    start = work.start

    def look(*words: str) -> "subprocess.Popen[bytes]":
        said.append(capsys.readouterr().err)
        return start(words[0])

    monkeypatch.setattr(work, "start", lambda module, _arguments: look(module))
    assert move(work, "a") == 0
    assert said == ["qvm-move: “work” is being started\nqvm-move: waiting for “work”\n"]
