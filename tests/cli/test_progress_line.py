"""The line of the terminal that says where a long job is."""

import sys

import pytest

from qubes_manager.cli.progress_line import progress_line
from qubes_manager.core.progress import Progress

CLEAR = "\r\x1b[K"


def _copy(progress: Progress) -> None:
    progress.step("Checking", 1 << 20)
    progress.at(1 << 19)
    progress.step("Copying")
    for percent in range(50, 52):
        # Within one per cent nothing changes that could be seen.
        progress.at(percent << 20, 100 << 20)
        progress.at((percent << 20) + 1)
    progress.step("Creating the domain")


def test_on_a_terminal_one_line_shows_step_and_amount(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_line(quiet=False) as progress:
        _copy(progress)
    shown = capsys.readouterr().err.split(CLEAR)
    assert shown == [
        "",
        "Checking 0 % of 1.0 MiB",
        "Checking 50 % of 1.0 MiB",
        "Copying",
        "Copying 50 % of 100 MiB",
        "Copying 51 % of 100 MiB",
        "Creating the domain",
        "",
    ]


def test_without_a_terminal_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line(quiet=False) as progress:
        _copy(progress)
    assert capsys.readouterr().err == "Checking\nCopying\nCreating the domain\n"


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_line(quiet=True) as progress:
        _copy(progress)
    assert capsys.readouterr().err == ""


def test_the_line_is_gone_after_a_failure_and_what_still_works_for_the_job_is_to_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(ZeroDivisionError), progress_line(quiet=False) as progress:
        progress.step("Copying")
        progress.raise_if_cancelled()
        raise ZeroDivisionError
    assert progress.is_cancelled
    progress.step("Copying on")
    assert capsys.readouterr().err == f"{CLEAR}Copying{CLEAR}"
