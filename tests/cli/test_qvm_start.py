"""What qvm-start starts, and the drive that it puts in first."""

import pytest

from qubes_manager.cli import qvm_start


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)


def said(uri: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """The exit code, and what was complained of."""
    code = qvm_start.main(["-c", uri, *words])
    return code, [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]


def test_one_that_runs_is_an_error_or_none_as_was_asked(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(host, capsys, "work") == (1, ["“work” is running already"])
    assert said(host, capsys, "--skip-if-running", "work") == (0, [])


def test_a_failure_of_one_is_said_and_keeps_no_other_from_starting(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = said(host, capsys, "--all")
    assert (code, sorted(lines)) == (1, ["“Vault” is running already", "“work” is running already"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--hddisk", "dom0:/no/disk"], "there is no file “/no/disk”"),
        (["--drive", "hd:dom0:/no/disk"], "there is no file “/no/disk”"),
        (["--hddisk", "/dev/nothing"], "the host has no block device /dev/nothing"),
        (["--cdrom", "dom0:/no/disc"], "“debian” has no CD-ROM drive"),
        (["--drive", "dom0:/no/disc"], "“debian” has no CD-ROM drive"),
        (["--drive", "cdrom:/no/disc"], "“debian” has no CD-ROM drive"),
    ],
)
def test_a_drive_is_of_the_kind_and_path_that_were_named_and_nothing_starts_without_it(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert said(host, capsys, *words, "debian") == (1, [line])


def test_what_is_not_offered_is_bad_usage(host: str) -> None:
    for words in (["--install-windows-tools", "work"], ["--cdrom", "a", "--hddisk", "b", "work"]):
        with pytest.raises(SystemExit):
            qvm_start.main(["-c", host, *words])
