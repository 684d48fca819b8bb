"""The commands that stop domains and let them go on: what --all passes over, and what is an error."""

from collections.abc import Callable

import pytest

from qubes_manager.cli import qvm_kill, qvm_pause, qvm_unpause

Main = Callable[[list[str]], int]


@pytest.mark.parametrize("main", [qvm_pause.main, qvm_unpause.main, qvm_kill.main], ids=["pause", "unpause", "kill"])
def test_all_are_those_that_it_fits(host: str, main: Main) -> None:
    # One runs, one is paused, one is halted.
    assert main(["-c", host, "--all"]) == 0


@pytest.mark.parametrize(
    ("main", "name", "code", "reason"),
    [
        (qvm_pause.main, "work", 0, ""),
        (qvm_pause.main, "debian", 1, "“debian” is not running"),
        (qvm_unpause.main, "Vault", 0, ""),
        (qvm_unpause.main, "work", 1, "“work” is not paused"),
        (qvm_kill.main, "debian", 0, ""),
    ],
    ids=["pause", "pause halted", "unpause", "unpause running", "kill halted"],
)
def test_a_domain_that_is_named_must_fit(
    host: str, capsys: pytest.CaptureFixture[str], main: Main, name: str, code: int, reason: str
) -> None:
    assert main(["-c", host, name]) == code
    assert reason in capsys.readouterr().err
