"""Small dialogs with one field."""

import pytest
from PySide6.QtWidgets import QLabel, QLineEdit, QWidget

from qubes_manager.ui.dialogs.name_dialog import NameDialog, PassphraseDialog, SizeDialog

GIB = 1 << 30


def test_a_name_must_be_one_and_free_before_it_can_be_taken(parent: QWidget) -> None:
    dialog = NameDialog(parent, "Clone work", "Clone", "work-copy", {"work"}.__contains__)
    assert (dialog.name.text(), dialog.name.selectedText()) == ("work-copy", "work-copy"), "typing replaces it"
    assert dialog.ok.isEnabled()
    for name, good in (("work", False), ("1st", False), ("", False), ("dom0", False), ("bank", True)):
        dialog.name.setText(name)
        assert dialog.ok.isEnabled() is good, name


def test_a_proposal_that_is_taken_already_is_said_at_once(parent: QWidget) -> None:
    dialog = NameDialog(parent, "Clone work", "Clone", "work-copy", lambda _name: True)
    [problem] = dialog.findChildren(QLabel, "problem")
    assert "there is a domain of that name already" in problem.text()
    assert not dialog.ok.isEnabled()


def test_a_passphrase_is_not_shown_and_why_it_is_asked_for_is(parent: QWidget) -> None:
    dialog = PassphraseDialog(parent, "work", "that passphrase is wrong")
    assert dialog.passphrase.echoMode() is QLineEdit.EchoMode.Password
    assert "that passphrase is wrong" in [label.text() for label in dialog.findChildren(QLabel)]


@pytest.mark.parametrize(("present", "least"), [(10 * GIB, 10), (10 * GIB + 1, 11), (64 << 20, 1), (0, 0)])
def test_a_volume_can_only_be_given_more(parent: QWidget, present: int, least: int) -> None:
    dialog = SizeDialog(parent, "work:private", present)
    assert dialog.bytes == (least + 1) * GIB > present, "more is proposed"
    dialog.size_box.setValue(0)
    assert dialog.bytes == least * GIB >= present
