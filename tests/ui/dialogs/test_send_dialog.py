"""Choosing what a domain is to get."""

from pathlib import Path

from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QWidget

from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.ui.dialogs.open_files_dialog import ConvertFilesDialog, OpenFilesDialog
from qubes_manager.ui.dialogs.send_dialog import SendDialog
from tests.ui.conftest import domain

WORK = domain("work")


def test_files_and_folders_are_gathered_each_once_and_both_are_kept_unless_wanted_otherwise(parent: QWidget) -> None:
    dialog = SendDialog(parent, WORK)
    assert not dialog.ok.isEnabled()
    dialog.add(["/home/you/a\nb", "/home/you/letters"])
    dialog.add(["/home/you/letters", "/c"])
    assert dialog.ok.isEnabled()
    copy = dialog.copy
    assert (copy.source, copy.target, copy.clash) == (None, WORK.key, Clash.NUMBER)
    assert copy.paths == ["/home/you/a\nb", "/home/you/letters", "/c"]
    dialog.clash.setCurrentIndex(dialog.clash.findData(Clash.REPLACE))
    dialog.list.item(0).setSelected(True)
    dialog.less.click()
    assert (dialog.copy.clash, dialog.copy.paths) == (Clash.REPLACE, ["/home/you/letters", "/c"])
    dialog.list.selectAll()
    dialog.less.click()
    assert not dialog.ok.isEnabled()


def test_what_is_opened_in_a_disposable_is_gathered_likewise_and_what_becomes_of_it_said(parent: QWidget) -> None:
    for view_only, words in ((True, "Nothing comes back"), (False, "comes back; the old one is kept")):
        dialog = OpenFilesDialog(parent, "default-dvm", view_only=view_only)
        assert any(words in label.text() for label in dialog.findChildren(QLabel))
        assert not dialog.ok.isEnabled()
        assert not dialog.folder.isHidden()
        dialog.add(["/home/you/letters"])
        assert (dialog.ok.isEnabled(), dialog.paths) == (True, ["/home/you/letters"])


def test_clean_copies_are_made_of_files_alone(parent: QWidget) -> None:
    dialog = ConvertFilesDialog(parent, "default-dvm")
    assert dialog.folder.isHidden()
    dialog.add(["/home/you/a.pdf"])
    assert dialog.ok.isEnabled()


def test_a_folder_is_chosen_as_such(parent: QWidget, tmp_path: Path) -> None:
    dialog = SendDialog(parent, WORK)
    dialog.show()
    dialog.folder.click()
    [chooser] = [w for w in QApplication.topLevelWidgets() if isinstance(w, QFileDialog) and w.isVisible()]
    assert chooser.fileMode() is QFileDialog.FileMode.Directory
    chooser.selectFile(str(tmp_path))
    chooser.accept()
    assert dialog.copy.paths == [str(tmp_path)]
