"""The choice of applications for the menu."""

import asyncio
from dataclasses import replace

import qasync
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import GuestError
from qubes_manager.ui.dialogs.app_shortcuts_dialog import AppShortcutsDialog
from tests.ui.conftest import APPS, domain, run, tip_says
from tests.waiting import until


def test_shortcuts_are_chosen_in_two_lists(parent: QWidget) -> None:
    dialog = AppShortcutsDialog(parent, domain("work", menu=("xterm",)), APPS, asyncio.create_task)
    assert not dialog.all.isChecked()
    assert dialog.chosen() == ["xterm"]
    QTest.keyClicks(dialog.search, "edit")
    dialog._buttons[1].click()
    assert dialog.chosen() == ["editor", "xterm"]
    dialog.selected.setCurrentRow(1)
    dialog._buttons[2].click()
    assert dialog.chosen() == ["editor"]
    # A list that was read anew keeps what was chosen.
    dialog.show_applications([*APPS, Application("new", "New")])
    assert dialog.chosen() == ["editor"]
    dialog.all.setChecked(True)
    assert dialog.chosen() is None
    assert not dialog.available.isEnabled()


def test_all_are_in_the_menu_where_nothing_was_chosen(parent: QWidget) -> None:
    dialog = AppShortcutsDialog(parent, domain("work"), APPS, asyncio.create_task)
    assert dialog.all.isChecked()
    assert dialog.chosen() is None
    dialog.all.setChecked(False)
    assert dialog.chosen() == ["editor", "firefox", "xterm"]


def test_what_goes_wrong_while_the_domain_is_asked_is_said_in_the_dialog(
    parent: QWidget, loop: qasync.QEventLoop
) -> None:
    dialog = AppShortcutsDialog(parent, domain("work"), APPS, loop.create_task)

    async def ask() -> None:
        raise GuestError("no guest agent answers in “work”")

    async def work() -> None:
        dialog.refresh.connect(lambda: dialog.start(ask()))
        [button] = [b for b in dialog.findChildren(QPushButton) if b.text() == "Refresh"]
        button.click()
        await until(lambda: "no guest agent answers in “work”" in dialog.hint.text())

    run(loop, work())


def test_only_a_domain_that_runs_can_be_asked(parent: QWidget) -> None:
    halted = replace(domain("work"), state=DomainState.HALTED)
    dialog = AppShortcutsDialog(parent, halted, (), asyncio.create_task)
    [button] = [b for b in dialog.findChildren(QPushButton) if b.text() == "Refresh"]
    assert not button.isEnabled()
    assert "Start the domain" in dialog.hint.text()


def test_a_guest_s_application_describes_itself_without_markup(parent: QWidget) -> None:
    hostile = Application("x", "X", "<b>[vault]</b> writes")
    dialog = AppShortcutsDialog(parent, domain("work"), [hostile], asyncio.create_task)
    assert tip_says(dialog.selected.item(0).toolTip()) == hostile.comment
