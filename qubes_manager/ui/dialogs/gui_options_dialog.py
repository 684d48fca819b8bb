"""The options of all domains' windows."""

from PySide6.QtWidgets import QCheckBox, QSpinBox, QWidget

from qubes_manager.core.gui_options import GUI_OPTIONS, GuiOptions, Value
from qubes_manager.ui.dialogs.form_dialog import FormDialog, number_box

# In this order, with these words; a domain's own settings may say otherwise.
_FIELDS = {
    "border_width": ("Border", " pixels"),
    "allow_fullscreen": ("Full screen", "A window may cover the whole screen"),
    "override_redirect_protection": ("Unmanaged windows", "They cover at most 90 % of the screen"),
    "allow_utf8_titles": ("Titles", "They may have characters beyond ASCII"),
    "windows_count_limit": ("Most windows", " windows of a domain"),
    "startup_timeout": ("Patience", " seconds for a guest to answer"),
    "max_clipboard_size": ("Clipboard", " characters"),
}


class GuiOptionsDialog(FormDialog):
    """Edits what holds for all domains; ``values`` gives what differs."""

    def __init__(self, parent: QWidget, options: GuiOptions) -> None:
        super().__init__(parent, "Window options", "Save")
        self._options = options
        self.add_note("These hold for the windows of all domains. A domain’s own settings may allow it full screen.")
        self._fields: dict[str, QCheckBox | QSpinBox] = {}
        for key, (name, words) in _FIELDS.items():
            option, present = GUI_OPTIONS[key], options.value(key)
            field: QCheckBox | QSpinBox
            if isinstance(option.default, bool):
                field = QCheckBox(words)
                field.setChecked(bool(present))
            else:
                field = number_box(option.low, option.high, int(present), words)
            field.setToolTip(f"{key}: {option.about}; default: {option.default}")
            self._fields[key] = field
            self.add_field(name, field)
        if own := sorted(options.domains):
            self.add_note(f"Domains with options of their own: {', '.join(own)[:300]}.")
        self.finish(next(iter(self._fields.values())))
        self.validate()

    def values(self) -> dict[str, Value | None]:
        """What the user changed; None where it is the default again."""
        found = {
            key: field.isChecked() if isinstance(field, QCheckBox) else field.value()
            for key, field in self._fields.items()
        }
        return {
            key: None if value == GUI_OPTIONS[key].default else value
            for key, value in found.items()
            if value != self._options.value(key)
        }
