"""Choosing who gets what waits."""

from PySide6.QtWidgets import QWidget

from qubes_manager.ui.dialogs.paste_dialog import PasteDialog
from tests.ui.conftest import domain


def test_nothing_is_chosen_before_the_user_has(parent: QWidget) -> None:
    work, vault = domain("work"), domain("vault")
    dialog = PasteDialog(parent, "12 bytes from personal", [work, vault])
    assert [dialog.list.item(row).text() for row in range(dialog.list.count())] == ["vault", "work"]
    assert dialog.target is None
    assert not dialog.ok.isEnabled()
    dialog.search.setText("WO")
    assert dialog.target is None
    assert [dialog.list.item(row).isHidden() for row in range(2)] == [True, False]
    dialog.list.item(1).setSelected(True)
    assert dialog.ok.isEnabled()
    assert dialog.target == work
    # What is not seen is not chosen.
    dialog.search.setText("vau")
    assert dialog.target is None
    assert not dialog.ok.isEnabled()
