"""qvm-prefs on the test driver."""

import pytest

from qubes_manager.cli import qubes_prefs, qvm_prefs


def test_where_nothing_is_set_what_holds_for_all_is_shown_as_the_default(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qubes_prefs.main(["default_dispvm", "work"]) == 0
    assert qvm_prefs.main(["-c", host, "debian", "default_dispvm"]) == 0
    assert capsys.readouterr().out == "work\n"
    assert qvm_prefs.main(["-c", host, "debian"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("default_dispvm"))
    assert line.split() == ["default_dispvm", "D", "work"]
