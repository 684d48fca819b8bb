"""qubes-policy-editor: nothing is changed before it is whole."""

import stat
from pathlib import Path

import pytest

from tests.cli.conftest import run

RULE = "qubes.Filecopy * work vault allow\n"


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that appends what is in the file ``next`` beside it, and takes one line away there."""
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\nhead -n1 {tmp_path}/next >"$2"\nsed -i 1d {tmp_path}/next\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", f"{script} --wait")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_what_is_whole_is_put_in_its_place(editor: Path) -> None:
    (editor / "next").write_text(RULE)
    assert run("qubes-policy-editor").returncode == 0
    assert run("qubes-policy", "-g", "30-user").stdout == RULE
    assert not list(editor.glob("qubes-policy-*"))


def test_what_is_wrong_is_edited_again(editor: Path) -> None:
    (editor / "next").write_text(f"* * work vault maybe\n{RULE}")
    done = run("qubes-policy-editor", "40-more", data="what?\ne\n")
    assert done.returncode == 0
    assert "40-more:1: 'maybe' is no action" in done.stderr
    assert run("qubes-policy").stdout == "40-more\n"


def test_who_gives_up_has_changed_nothing_and_keeps_what_he_wrote(editor: Path) -> None:
    (editor / "next").write_text("* * work vault maybe\n")
    done = run("qubes-policy-editor", data="q\n")
    assert done.returncode == 1
    assert run("qubes-policy").stdout == ""
    (kept,) = editor.glob("qubes-policy-*")
    assert str(kept) in done.stderr
    assert kept.read_text() == "* * work vault maybe\n"


def test_an_editor_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", str(tmp_path / "none"))
    done = run("qubes-policy-editor")
    assert (done.returncode, "set $EDITOR" in done.stderr) == (1, True)
