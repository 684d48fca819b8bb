"""qvm-copy-to-vm and its like: what they want, and what they ask the broker for."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qubes_manager.cli import qvm_copy_from_vm, qvm_copy_to_vm, qvm_move_to_vm
from qubes_manager.core.crossing.copying import Arrived
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.file_requests import CopyReport
from qubes_manager.core.errors import Refused
from qubes_manager.services.crossing.file_copies import Copy, FileCopies
from tests.cli.conftest import WORK

Main = Callable[[Sequence[str]], int]


class Asked:
    """Stands for the broker."""

    def __init__(self) -> None:
        self.copies: list[Copy] = []
        self.report = CopyReport("~/QubesIncoming/dom0", 2, 3 << 20)
        self.refusal = ""

    async def copy(self, _copies: FileCopies, copy: Copy, **_hooks: object) -> CopyReport:
        await asyncio.sleep(0)
        self.copies.append(copy)
        if self.refusal:
            raise Refused(self.refusal)
        return self.report


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()

    async def copy(copies: FileCopies, copy: Copy, **hooks: object) -> CopyReport:
        return await asked.copy(copies, copy, **hooks)

    monkeypatch.setattr(FileCopies, "copy", copy)
    return asked


@pytest.mark.parametrize(("main", "moves"), [(qvm_copy_to_vm.main, False), (qvm_move_to_vm.main, True)])
def test_files_are_named_by_whole_paths_and_links_are_not_followed(
    asked: Asked, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: Main, moves: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert main(["--connect", host, "--existing", "skip", "--ignore-symlinks", "work", "link", "./-odd"]) == 0
    [copy] = asked.copies
    assert (copy.source, copy.target and copy.target.uuid) == (None, WORK)
    assert copy.paths == [str(tmp_path / "link"), str(tmp_path / "-odd")]
    assert (copy.move, copy.clash, copy.ignore_links) == (moves, Clash.SKIP, True)


def test_what_stayed_behind_is_said_and_is_no_success(
    asked: Asked, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.report = CopyReport("~/QubesIncoming/dom0", 1, 3, True, ("“/x”: Permission denied",))
    assert qvm_copy_to_vm.main(["--connect", host, "work", "/x"]) == 1
    assert capsys.readouterr().err == "“/x”: Permission denied\n"


def test_a_refusal_is_one_line(asked: Asked, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked.refusal = "there is no room"
    assert qvm_copy_to_vm.main(["--connect", host, "work", "/x"]) == 1
    assert capsys.readouterr().err.endswith(": there is no room\n")


def test_digests_of_what_came_here_are_said_to_who_wants_to_hear_more(
    asked: Asked, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.report = CopyReport("/home/you/QubesIncoming/work", 1, 3, files=(Arrived("a\x1b[2J", 3, "0f" * 32),))
    assert qvm_copy_from_vm.main(["--connect", host, "-v", "work", "/etc/a"]) == 0
    assert capsys.readouterr().out == f"{'0f' * 32}  a\\x1b[2J\n"
    [copy] = asked.copies
    assert (copy.source and copy.source.uuid, copy.target, copy.paths) == (WORK, None, ["/etc/a"])


def test_files_of_one_domain_go_to_another(asked: Asked, host: str) -> None:
    assert qvm_copy_from_vm.main(["--connect", host, "--to", "Vault", "work", "/etc/a"]) == 0
    [copy] = asked.copies
    assert copy.source
    assert copy.target
    assert copy.source != copy.target


@pytest.mark.parametrize(
    ("main", "words", "reason"),
    [
        (qvm_copy_to_vm.main, ["/etc/passwd", "work"], "is no domain: its name comes first"),
        (qvm_copy_to_vm.main, ["nobody", "/x"], "no such domain: nobody"),
        (qvm_copy_from_vm.main, ["work", "relative"], "is no whole path"),
        (qvm_copy_from_vm.main, ["dom0", "/x"], "sent by qvm-copy-to-vm"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_done(
    asked: Asked, host: str, capsys: pytest.CaptureFixture[str], main: Main, words: Sequence[str], reason: str
) -> None:
    try:
        code = main(["--connect", host, *words])
    except SystemExit as end:
        code = int(str(end.code))
    assert code
    assert reason in capsys.readouterr().err
    assert asked.copies == []
