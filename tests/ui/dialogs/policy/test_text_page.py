"""Editing policy files."""

import qasync
from PySide6.QtGui import QTextCursor
from pytestqt.qtbot import QtBot

from qubes_manager.core.errors import Overtaken
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.text_page import FileNameDialog, TextPage
from tests.ui.conftest import run
from tests.ui.dialogs.policy.conftest import RULES, start


def opened(qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles) -> TextPage:
    page = TextPage(files, start)
    qtbot.addWidget(page)
    run(loop, page.update_files())
    return page


def add(page: TextPage, text: str) -> None:
    """Type at the end."""
    page.text.moveCursor(QTextCursor.MoveOperation.End)
    page.text.insertPlainText(text)


def errors(page: TextPage) -> list[str]:
    return [page.problems.item(row).text() for row in range(page.problems.count())]


def test_the_users_file_is_shown_first_and_the_default_can_be_read(
    qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles
) -> None:
    files.replace("include/mine", "a b deny\n")
    page = opened(qtbot, loop, files)
    names = [page.file.itemText(row) for row in range(page.file.count())]
    assert names == ["30-user", "include/mine", "90-default.policy, which comes with the program"]
    assert page.text.toPlainText() == RULES
    run(loop, page.go_to("90-default.policy", 1))
    assert page.text.isReadOnly()
    assert "qubes.Filecopy" in page.text.toPlainText()
    assert not page.remove.isEnabled()


def test_a_wrong_line_is_named_marked_and_not_saved(qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles) -> None:
    page = opened(qtbot, loop, files)
    add(page, "my.Service * work vault maybe\n")
    assert page.is_changed
    run(loop, page.check())
    assert errors(page) == ["30-user.policy:4: 'maybe' is no action: use allow, ask or deny"]
    assert page.highlighter.wrong == {4}
    assert not page.save.isEnabled()
    assert not page.file.isEnabled()
    page.problems.itemActivated.emit(page.problems.item(0))
    assert page.text.textCursor().blockNumber() == 3
    page.text.selectAll()
    page.text.insertPlainText(RULES + "my.Service * work vault deny\n")
    run(loop, page.check())
    assert (errors(page), page.save.isEnabled()) == ([], True)


def test_what_is_saved_is_in_the_file(qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles) -> None:
    page = opened(qtbot, loop, files)
    saved: list[bool] = []
    page.saved.connect(lambda: saved.append(True))
    for line in ("# one\n", "# a\u00a0b\n"):
        add(page, line)
        run(loop, page.save_file())
    assert files.read("30-user").text == RULES + "# one\n# a\u00a0b\n"
    assert (saved, page.is_changed) == ([True, True], False)


def test_what_others_have_changed_meanwhile_is_not_overwritten(
    qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles
) -> None:
    page = opened(qtbot, loop, files)
    add(page, "# mine\n")
    files.replace("30-user", "# theirs\n")

    async def work() -> None:
        try:
            await page.save_file()
        except Overtaken as error:
            assert "read it again" in str(error)
        else:
            raise AssertionError("it was overwritten")

    run(loop, work())
    assert page.is_changed
    run(loop, page.open_file("30-user"))
    assert (page.text.toPlainText(), page.is_changed) == ("# theirs\n", False)


def test_who_has_no_file_begins_one(qtbot: QtBot, loop: qasync.QEventLoop, files: PolicyFiles) -> None:
    files.remove("30-user")
    page = opened(qtbot, loop, files)
    assert page.text.toPlainText() == ""
    add(page, RULES)
    run(loop, page.save_file())
    assert files.names() == ["30-user"]


def test_a_new_file_has_a_name_that_a_policy_file_may_have(qtbot: QtBot, files: PolicyFiles) -> None:
    page = TextPage(files, start)
    qtbot.addWidget(page)
    dialog = FileNameDialog(page)
    for name, good in (("", False), ("Upper", False), ("40-more", True), ("include/mine", True), ("a/b", False)):
        dialog.name.setText(name)
        assert dialog.ok.isEnabled() is good
