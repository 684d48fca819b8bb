"""Who may reach whom."""

import qasync
from pytestqt.qtbot import QtBot

from qubes_manager.core.policy.subject import Subject
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.reach_page import ReachPage
from tests.ui.conftest import run
from tests.ui.dialogs.policy.conftest import SYSTEM, rows, start
from tests.waiting import until


def test_what_is_chosen_is_worked_out(qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles) -> None:
    page = ReachPage(start)
    qtbot.addWidget(page)

    async def work() -> None:
        page.show_policy(files.load(), SYSTEM)
        await page.update_reaches()
        assert len(rows(page.table)) > 10
        page.source.setCurrentIndex(page.source.findData("work"))
        page.service.setCurrentIndex(page.service.findData("my.Service"))
        await until(lambda: len(rows(page.table)) == 2)

    run(loop, work())
    assert sorted(row[:4] for row in rows(page.table)) == [
        ["work", "@dispvm:dvm", "my.Service", "asked"],
        ["work", "vault", "my.Service", "allowed"],
    ]
    assert page.graph.arrows == {("work", "vault"): False, ("work", "@dispvm:dvm"): True}


def test_of_many_domains_one_is_worked_out_at_a_time(qtbot: QtBot, files: PolicyFiles) -> None:
    page = ReachPage(start)
    qtbot.addWidget(page)
    page.show_policy(files.load(), {f"d{n}": Subject(f"d{n}") for n in range(500)})
    assert page.source.itemData(0) == "d0"


def test_many_pairs_stand_in_a_table_that_lacks_none(qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles) -> None:
    page = ReachPage(start)
    qtbot.addWidget(page)
    system = {f"d{n}": Subject(f"d{n}") for n in range(20)}
    # More than the list below has; the last of all is the only one of its pair.
    files.replace("30-user", "".join(f"a.S{n} * d0 @anyvm allow\n" for n in range(120)) + "z.S * d1 d2 allow\n")
    page.show_policy(files.load(), system)
    run(loop, page.update_reaches())

    assert page.pictures.currentWidget() is page.matrix
    assert len(rows(page.table)) == 2000
    assert "not listed" in page.note.text()
    item = page.matrix.item(1, 2)
    assert item
    assert item.text() == "yes"
