"""The options of windows, as a form."""

from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.ui.dialogs.gui_options_dialog import GuiOptionsDialog


def test_window_options_give_what_differs(qtbot) -> None:
    options = GuiOptions({"allow_fullscreen": True}, {"work": {"allow_fullscreen": False}})
    dialog = GuiOptionsDialog(None, options)
    qtbot.addWidget(dialog)
    assert dialog.values() == {}
    dialog._fields["allow_fullscreen"].setChecked(False)
    dialog._fields["border_width"].setValue(10)
    assert dialog.values() == {"allow_fullscreen": None, "border_width": 10}
    assert all(field.accessibleName() for field in dialog._fields.values())
