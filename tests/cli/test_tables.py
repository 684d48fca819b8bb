"""Tables on a terminal; widths of characters are in test_output.py, with the real command."""

import pytest

from qubes_manager.cli.tables import print_table


def test_a_line_end_does_not_break_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("x\ny", "z")])
    assert capsys.readouterr().out == "A     B\nx\\ny  z\n"
