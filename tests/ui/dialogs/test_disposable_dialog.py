"""What is asked before a disposable is made."""

from PySide6.QtWidgets import QWidget

from qubes_manager.ui.dialogs.disposable_dialog import DisposableDialog


def test_only_one_that_stays_needs_a_name(parent: QWidget) -> None:
    dialog = DisposableDialog(parent, ["base", "offline"], "offline", {"work"}.__contains__)
    assert dialog.template.currentData() == "offline"
    assert dialog.ok.isEnabled()
    dialog.stays.setChecked(True)
    assert not dialog.ok.isEnabled()
    dialog.name.setText("printer")
    assert dialog.ok.isEnabled()
    for wrong in ("work", "0x", "dom0"):
        dialog.name.setText(wrong)
        assert not dialog.ok.isEnabled()


def test_without_a_default_the_first_is_chosen(parent: QWidget) -> None:
    assert DisposableDialog(parent, ["base", "other"], "gone", lambda _name: False).template.currentData() == "base"
