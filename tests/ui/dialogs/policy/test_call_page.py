"""Which rule decides."""

from pytestqt.qtbot import QtBot

from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.call_page import CallPage
from tests.ui.dialogs.policy.conftest import SYSTEM


def test_what_becomes_of_a_call_is_said_while_it_is_chosen(qtbot: QtBot, files: PolicyFiles) -> None:
    page = CallPage()
    qtbot.addWidget(page)
    page.show_policy(files.load(), SYSTEM)
    page.service.setEditText("my.Service+x")
    page.source.setCurrentIndex(page.source.findData("work"))
    page.target.setCurrentIndex(page.target.findData("vault"))
    assert page.answer.text().startswith("allowed: it goes to vault\ndecided by 30-user.policy:1")
    page.target.setCurrentIndex(page.target.findData("@dispvm"))
    assert page.answer.text().startswith("the user is asked; to choose from: @dispvm:dvm, vault")
    page.target.setEditText("nobody")
    assert page.answer.text().startswith("denied: no rule of the policy is about this")
    page.service.setEditText("")
    assert page.answer.text() == ""


def test_what_was_chosen_stays_when_the_policy_is_read_again(qtbot: QtBot, files: PolicyFiles) -> None:
    page = CallPage()
    qtbot.addWidget(page)
    page.show_policy(files.load(), SYSTEM)
    page.service.setEditText("my.Service+x")
    page.source.setCurrentIndex(page.source.findData("work"))
    page.target.setCurrentIndex(page.target.findData("vault"))
    files.replace("20-first", "my.Service * work vault deny\n")
    page.show_policy(files.load(), SYSTEM)
    assert page.answer.text().startswith("denied: the policy denies it (20-first.policy:1)")
