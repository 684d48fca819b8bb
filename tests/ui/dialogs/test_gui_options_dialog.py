"""The options of windows, as a form."""

from PySide6.QtWidgets import QCheckBox, QComboBox, QSpinBox, QWidget

from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.ui.dialogs.gui_options_dialog import GuiOptionsDialog


def test_window_options_give_what_differs(parent: QWidget) -> None:
    options = GuiOptions({"allow_fullscreen": True}, {"work": {"allow_fullscreen": False}})
    dialog = GuiOptionsDialog(parent, options)
    assert dialog.values() == {}
    fullscreen, border = dialog._fields["allow_fullscreen"], dialog._fields["border_width"]
    assert isinstance(fullscreen, QCheckBox) and isinstance(border, QSpinBox)
    fullscreen.setChecked(False)
    border.setValue(10)
    assert dialog.values() == {"allow_fullscreen": None, "border_width": 10}
    keys = dialog._fields["secure_copy_sequence"]
    assert isinstance(keys, QComboBox)
    keys.setCurrentText("ctrl+mod4+C")
    assert dialog.validate()
    assert dialog.values()["secure_copy_sequence"] == "Ctrl-Win-c"
    for wrong in ("c", "Ctrl-Shift-v", "Win-F11"):
        keys.setCurrentText(wrong)
        assert not dialog.validate()
    assert all(field.accessibleName() for field in dialog._fields.values())
