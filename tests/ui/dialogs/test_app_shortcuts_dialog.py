"""The choice of applications for the menu."""

from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from qubes_manager.core.applications import Application
from qubes_manager.ui.dialogs.app_shortcuts_dialog import AppShortcutsDialog
from tests.ui.conftest import APPS, domain


def test_shortcuts_are_chosen_in_two_lists(parent: QWidget) -> None:
    dialog = AppShortcutsDialog(parent, domain("work", menu=("xterm",)), APPS)
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
    dialog = AppShortcutsDialog(parent, domain("work"), APPS)
    assert dialog.all.isChecked()
    assert dialog.chosen() is None
    dialog.all.setChecked(False)
    assert dialog.chosen() == ["editor", "firefox", "xterm"]
