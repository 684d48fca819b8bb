"""The policy dialog as a whole."""

import qasync
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.policy.subject import System
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.policy_dialog import PolicyDialog
from tests.ui.conftest import run
from tests.ui.dialogs.policy.conftest import SYSTEM, rows, start
from tests.waiting import until


async def _system() -> System:
    return SYSTEM


def opened(parent: QWidget, services: Services, files: PolicyFiles) -> PolicyDialog:
    return PolicyDialog(parent, files, services.audit, _system, start)


def test_what_is_saved_holds_on_all_pages(
    qtbot: QtBot, loop: qasync.QEventLoop, parent: QWidget, services: Services, files: PolicyFiles
) -> None:
    async def work() -> None:
        dialog = opened(parent, services, files)
        await until(lambda: rows(dialog.rules.table) and dialog.text.text.toPlainText())
        dialog.rules.opened.emit("30-user.policy", 2)
        assert dialog.tabs.currentWidget() is dialog.text
        await until(lambda: dialog.text.text.textCursor().blockNumber() == 1)
        dialog.text.text.selectAll()
        dialog.text.text.insertPlainText("my.Service * work vault deny\n")
        dialog.text.save.click()
        await until(lambda: rows(dialog.rules.table)[0][4] == "denied")
        dialog.tabs.setCurrentWidget(dialog.reach)
        await until(lambda: rows(dialog.reach.table))
        dialog.tabs.setCurrentWidget(dialog.decisions)
        await until(lambda: dialog.decisions.note.text())
        dialog.reject()
        assert not dialog.isVisible()

    run(loop, work())


def test_a_wrong_line_is_seen_while_it_is_written(
    qtbot: QtBot, loop: qasync.QEventLoop, parent: QWidget, services: Services, files: PolicyFiles
) -> None:
    async def work() -> None:
        dialog = opened(parent, services, files)
        dialog.show()
        dialog.tabs.setCurrentWidget(dialog.text)
        await until(lambda: dialog.text.text.toPlainText())
        dialog.text.text.insertPlainText("wrong\n")
        await until(lambda: dialog.text.highlighter.wrong == {1})
        dialog.text.discard.click()
        await until(lambda: not dialog.text.highlighter.wrong)
        dialog.reject()

    run(loop, work())


def test_changes_that_are_not_saved_keep_it_open(
    qtbot: QtBot, loop: qasync.QEventLoop, parent: QWidget, services: Services, files: PolicyFiles
) -> None:
    async def work() -> None:
        dialog = opened(parent, services, files)
        dialog.show()
        await until(lambda: rows(dialog.rules.table) and dialog.text.text.toPlainText())
        dialog.text.text.insertPlainText("# more\n")
        dialog.reject()
        assert dialog.isVisible()
        assert "Save or discard" in dialog.hint.text()
        dialog.text.discard.click()
        await until(lambda: not dialog.text.is_changed)
        dialog.reject()
        assert not dialog.isVisible()

    run(loop, work())


def test_a_broken_policy_is_said_to_be_so(
    qtbot: QtBot, loop: qasync.QEventLoop, parent: QWidget, services: Services, files: PolicyFiles
) -> None:
    (files.folder / "40-more.policy").write_text("broken\n")

    async def work() -> None:
        dialog = opened(parent, services, files)
        await until(lambda: "40-more.policy:1" in dialog.hint.text())
        dialog.reject()

    run(loop, work())
