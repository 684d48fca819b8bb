"""Volumes by command: what is shown of them, and what is not done to them."""

import io
import sys

import pytest

from qubes_manager.cli import qvm_volume


def said(uri: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """The exit code, and the lines of output or of complaint."""
    code = qvm_volume.main(["-c", uri, *words])
    told = capsys.readouterr()
    return code, (told.err if code else told.out).splitlines()


def test_own_volumes_are_listed_and_the_root_of_the_template(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    _code, (_heads, *lines) = said(host, capsys, "list", "--full")
    assert [line.split()[1:] for line in lines] == [
        ["debian", "root", "Yes", "1048576", "1048576", "-"],
        ["work", "root", "No", "1048576", "1048576", "debian:root"],
        ["work", "private", "No", "1048576", "1048576", "-"],
    ]
    assert len(said(host, capsys, "list", "--exclude", "work")[1]) == 2
    assert len(said(host, capsys, "list", "-p", "other")[1]) == 1
    assert len(said(host, capsys, "list", "work")[1]) == 3


def test_a_volume_is_shown_whole_or_by_one_property(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    _code, lines = said(host, capsys, "info", "debian:root")
    assert lines[-3:] == ["Available revisions (for revert):", "  1", "  2"]
    for volume, name, value in (
        ("debian:root", "revisions_to_keep", "2"),
        ("debian:root", "save_on_stop", "True"),
        ("work:root", "save_on_stop", "False"),
        ("work:root", "snap_on_start", "True"),
        ("work:root", "rw", "False"),
        ("work:private", "rw", "True"),
        ("work:private", "revisions_to_keep", "0"),
        ("work:root", "source", "debian:root"),
    ):
        assert said(host, capsys, "info", volume, name) == (0, [value]), (volume, name)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["info", "work"], "volume: 'work' cannot be used; use VM:VOLUME, for example work:private"),
        (["info", "nobody:root"], "no such domain: nobody"),
        (["info", "work:home"], "volume: 'home' cannot be used; use one of root, private, kernel, initrd"),
        (["info", "Vault:root"], "“Vault” has no volume root that this program made"),
        (["info", "work:private", "colour"], "property: 'colour' cannot be used; use one of pool"),
        (["config", "work:private", "revisions_to_keep", "3"], "property: 'revisions_to_keep' cannot be used"),
        (["config", "debian:root", "rw", "False"], "property: 'rw' cannot be used"),
        (["config", "debian:root", "revisions_to_keep", "0"], "revisions_to_keep: '0' cannot be used"),
        (["resize", "work:private", "big"], "size: 'big'"),
        (["resize", "work:root", "1G"], "the root of “work” is that of its template “debian”: change it there"),
        (["revert", "work:private"], "work:private has no revisions; a template's root has"),
        (["revert", "debian:root", "7"], "revision: '7' cannot be used; “debian” has 1, 2"),
        (["verify", "debian:root"], "there is no checksum for debian.root@2.qcow2"),
        (["clear", "-f", "work:private"], "“work” is running: shut it down first"),
        (["clear", "-f", "debian:root"], "volume: 'root' cannot be used; only the private volume can be cleared"),
        (["export", "work:private", "/x"], "“work” is running: shut it down first"),
        (["import", "debian:root", "/x"], "only the private volume, or the root of a StandaloneVM, can be replaced"),
    ],
)
def test_what_is_not_done_is_one_line(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    code, lines = said(host, capsys, *words)
    assert (code, len(lines)) == (1, 1)
    assert lines[0].partition(": ")[2].startswith(line)


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_nothing_is_cleared_without_a_yes(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    code, lines = said(host, capsys, "clear", "work:private")
    assert (code, lines) == (1, ["All data in work:private are lost. Clear it? [y/N] nothing was changed"])


def test_a_template_goes_to_the_revision_before(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert qvm_volume.main(["-c", host, "revert", "debian:root"]) == 0
    assert capsys.readouterr().err == "revision 1 of debian:root is current now\n"
