"""Another of our programs, as who needs it sees it."""

from pathlib import Path

import pytest

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.programs import program as module
from qubes_manager.services.programs.program import Program
from tests.waiting import PATIENCE, soon


async def test_one_that_ends_without_an_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_START_PATIENCE", 10 * PATIENCE)
    program = Program("the service", ("no-such-word",), lambda: tmp_path / "socket", 1000)
    async with soon():
        with pytest.raises(QubesManagerError, match="the service does not start"):
            await program.ensure()


def test_one_that_waits_for_the_end_of_another_is_waited_for() -> None:
    assert module._START_PATIENCE > module.END_PATIENCE
