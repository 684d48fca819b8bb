"""What was decided, with filters."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import qasync
from pytestqt.qtbot import QtBot

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.crossing.audit import Audit, Decider, Decision, Outcome
from qubes_manager.ui.dialogs.policy.decisions_page import DecisionsPage
from tests.ui.conftest import run
from tests.ui.dialogs.policy.conftest import rows, start
from tests.waiting import until

ONE = Decision("work", "qubes.Filecopy", "x", "@default", Outcome.ALLOWED, Decider.USER, "vault", "30-user:1", when=1.0)


def test_decisions_are_listed_newest_first_and_filtered(qtbot: QtBot, loop: qasync.QEventLoop, tmp_path: Path) -> None:
    audit = Audit(tmp_path / "log")
    page = DecisionsPage(audit, start)
    qtbot.addWidget(page)

    async def work() -> None:
        await page.update_decisions()
        assert page.note.text() == "No such decision is in the log."
        audit.write(ONE)
        audit.write(replace(ONE, source="vault", outcome=Outcome.REFUSED, reason="because", when=2.0))
        await page.update_decisions()
        assert [row[1:5] for row in rows(page.table)] == [
            ["vault", "qubes.Filecopy+x", "vault", "refused"],
            ["work", "qubes.Filecopy+x", "vault", "allowed"],
        ]
        page.source.setCurrentIndex(page.source.findData("work"))
        await until(lambda: [row[1] for row in rows(page.table)] == ["work"])
        page.source.setCurrentIndex(0)
        page.outcome.setCurrentIndex(page.outcome.findData("refused"))
        await until(lambda: [row[1] for row in rows(page.table)] == ["vault"])
        page.outcome.setCurrentIndex(0)
        for choice, value in ((page.target, "vault"), (page.service, "qubes.Filecopy")):
            choice.setCurrentIndex(choice.findData(value))
        await until(lambda: len(rows(page.table)) == 2)
        audit.write(replace(ONE, source="new", when=time.time() - 60))
        page.since.setCurrentText("in the last hour")
        await until(lambda: [row[1] for row in rows(page.table)] == ["new"])
        page.search.setText("no such word")
        await until(lambda: rows(page.table) == [])

    run(loop, work())


def test_a_log_that_cannot_be_read_is_said_to_be_so(qtbot: QtBot, loop: qasync.QEventLoop, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    page = DecisionsPage(Audit(tmp_path / "log"), start)
    qtbot.addWidget(page)
    with pytest.raises(QubesManagerError, match="cannot be read"):
        run(loop, page.update_decisions())
