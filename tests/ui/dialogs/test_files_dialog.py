"""The files of a domain: found, chosen, named a target; whatever they are called."""

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest
import qasync
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QTreeWidgetItem, QWidget

from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.listing import Entry, FileKind, Listing
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError
from qubes_manager.services.crossing.file_copies import FileCopies
from qubes_manager.ui.dialogs.files_dialog import FilesDialog
from qubes_manager.ui.look.dragged_files import of_mime
from tests.ui.conftest import domain, run
from tests.waiting import until

BIDI = "\u202etxt.exe"
HOME = "/home/user"
FILES: Mapping[str, tuple[Entry, ...]] = {
    HOME: (
        Entry("zeta.txt", FileKind.FILE, 2048, 1_700_000_000),
        Entry(BIDI, FileKind.FILE, 10),
        Entry("Documents", FileKind.FOLDER),
        Entry(".secret", FileKind.FILE),
        Entry("pipe", FileKind.OTHER),
        Entry("two\nlines<b>", FileKind.FILE),
    ),
    f"{HOME}/Documents": (Entry("letter", FileKind.FILE), Entry("empty", FileKind.FOLDER)),
    f"{HOME}/Documents/empty": (),
}

BASE = domain("base", template_for_dispvms=True)


class Copies:
    """Stands for a guest that tells of its folders."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def listing(self, _key: DomainKey, path: str) -> Listing:
        self.asked.append(path)
        path = path or HOME
        if path not in FILES:
            raise GuestError("“work” has no such folder")
        return Listing(path, 5 << 30, FILES[path], False)


@pytest.fixture
def copies() -> Copies:
    return Copies()


@pytest.fixture
def dialog(loop: qasync.QEventLoop, parent: QWidget, copies: Copies) -> FilesDialog:
    tasks: set[asyncio.Task[object]] = set()

    def spawn(work: object) -> None:
        tasks.add(loop.create_task(work))

    targets = [domain("vault", crossing_ports=True), domain("plain")]
    dialog = FilesDialog(parent, domain("work"), targets, [BASE], cast(FileCopies, copies), spawn)
    run(loop, until(lambda: dialog.tree.topLevelItemCount()))
    return dialog


def names(dialog: FilesDialog) -> list[str]:
    found = (dialog.tree.topLevelItem(row) for row in range(dialog.tree.topLevelItemCount()))
    return [item.text(0) for item in found if item and not item.isHidden()]


def item(dialog: FilesDialog, name: str) -> QTreeWidgetItem:
    [found] = dialog.tree.findItems(name, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
    return found


def test_folders_come_first_and_nothing_hides_or_reorders(dialog: FilesDialog) -> None:
    assert names(dialog) == ["Documents", "pipe", "two\\nlines<b>", "zeta.txt", "\\u202etxt.exe"]
    assert (item(dialog, "zeta.txt").text(1), item(dialog, "zeta.txt").text(2)[:4]) == ("2.0 KiB", "2023")
    assert dialog.folder.text() == HOME
    assert dialog.hint.text() == "5.0 GiB are free there."
    dialog.hidden.setChecked(True)
    assert ".secret" in names(dialog)


def test_folders_are_read_when_they_are_opened_and_once(
    dialog: FilesDialog, loop: qasync.QEventLoop, copies: Copies
) -> None:
    documents = item(dialog, "Documents")
    documents.setExpanded(True)
    run(loop, until(documents.childCount))
    documents.setExpanded(False)
    documents.setExpanded(True)
    assert copies.asked == ["", f"{HOME}/Documents"]
    empty = item(dialog, "empty")
    empty.setExpanded(True)
    run(loop, until(lambda: len(copies.asked) == 3))
    dialog.search.setText("LETT")
    assert names(dialog) == ["Documents"]
    dialog.search.clear()
    assert len(names(dialog)) == 5


def test_another_folder_can_be_named_and_trouble_is_said_here(dialog: FilesDialog, loop: qasync.QEventLoop) -> None:
    dialog.folder.setText(f"{HOME}/Documents/empty")
    QTest.keyClick(dialog.folder, Qt.Key.Key_Return)
    run(loop, until(lambda: dialog.hint.text() == "This folder is empty."))
    assert dialog.result() == 0
    dialog.folder.setText("/nowhere")
    QTest.keyClick(dialog.folder, Qt.Key.Key_Return)
    run(loop, until(lambda: dialog.hint.text() == "⚠ “work” has no such folder"))


def test_who_gets_them_is_named_before_anything_is_copied(dialog: FilesDialog) -> None:
    assert dialog.target.currentIndex() == -1
    item(dialog, "zeta.txt").setSelected(True)
    assert not dialog.ok.isEnabled()
    dialog.target.setCurrentIndex(1)
    assert dialog.ok.isEnabled()
    dialog.clash.setCurrentIndex(dialog.clash.findData(Clash.SKIP))
    assert dialog.target_name == "plain"
    copy = dialog.copy
    assert (copy.source, copy.target) == (DomainKey("x", "work"), DomainKey("x", "plain"))
    assert (copy.paths, copy.clash) == ([f"{HOME}/zeta.txt"], Clash.SKIP)
    dialog.target.setCurrentIndex(2)
    assert (dialog.copy.clash, dialog.clash.isEnabled()) == (Clash.SKIP, True)
    dialog.target.setCurrentIndex(0)
    assert (dialog.copy.target, dialog.target_name, dialog.base) == (None, "dom0", None)
    dialog.target.setCurrentIndex(3)
    assert dialog.target.currentText() == "a new disposable of base, to be viewed"
    assert (dialog.base, dialog.ok.text(), dialog.clash.isEnabled()) == (BASE, "View", False)
    dialog.target.setCurrentIndex(1)
    assert (dialog.base, dialog.ok.text(), dialog.clash.isEnabled()) == (None, "Copy", True)
    item(dialog, "zeta.txt").setSelected(False)
    assert not dialog.ok.isEnabled()


def test_names_go_out_to_the_letter_and_what_is_in_a_chosen_folder_once(
    dialog: FilesDialog, loop: qasync.QEventLoop
) -> None:
    documents = item(dialog, "Documents")
    documents.setExpanded(True)
    run(loop, until(documents.childCount))
    for name in ("Documents", "letter", "\\u202etxt.exe", "two\\nlines<b>"):
        item(dialog, name).setSelected(True)
    assert dialog.tree.chosen == [f"{HOME}/Documents", f"{HOME}/two\nlines<b>", f"{HOME}/{BIDI}"]
    dragged = of_mime(dialog.tree.mimeData([]))
    assert dragged
    assert (dragged.source, list(dragged.paths)) == (DomainKey("x", "work"), dialog.tree.chosen)


def test_devices_and_pipes_cannot_be_chosen(dialog: FilesDialog) -> None:
    dialog.tree.selectAll()
    assert f"{HOME}/pipe" not in dialog.tree.chosen
