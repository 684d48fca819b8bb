"""The options of all domains' windows."""

from contextlib import suppress
from functools import partial

from PySide6.QtWidgets import QCheckBox, QWidget

from qubes_manager.core.errors import BadInput
from qubes_manager.core.gui_options import GUI_OPTIONS, KEY_OPTIONS, GuiOptions, Value
from qubes_manager.core.text import plain_tip
from qubes_manager.ui.dialogs.form_dialog import FormDialog, number_box, policy_button
from qubes_manager.ui.look.fields import ComboBox, SpinBox

# In this order, with these words; a domain's own settings may say otherwise.
_OFFERED_KEYS = {
    "fullscreen_keys": ("Win-F11", "Ctrl-Alt-F11", "Shift-F11"),
    "secure_copy_sequence": ("Ctrl-Shift-c", "Ctrl-Win-c", "Win-c", "Ctrl-Insert"),
    "secure_paste_sequence": ("Ctrl-Shift-v", "Ctrl-Win-v", "Win-v", "Shift-Insert"),
}
_FIELDS = {
    "border_width": ("Border", " pixels"),
    "allow_fullscreen": ("Full screen", "A window may cover the whole screen"),
    "fullscreen_keys": ("Full-screen keys", ""),
    "override_redirect_protection": ("Unmanaged windows", "They cover at most 90 % of the screen"),
    "allow_utf8_titles": ("Titles", "They may have characters beyond ASCII"),
    "windows_count_limit": ("Most windows", " windows of a domain"),
    "startup_timeout": ("Patience", " seconds for a guest to answer"),
    "secure_copy_sequence": ("Copy keys", ""),
    "secure_paste_sequence": ("Paste keys", ""),
    "max_clipboard_size": ("Clipboard", " bytes at most"),
    "clipboard_seconds": ("Forget after", " seconds (0: never)"),
    "clipboard_images": ("Pictures", "The clipboard takes them too, as plain pixels"),
    "clipboard_wipe": ("After a paste", "The domain forgets what was pasted after a minute"),
}


class GuiOptionsDialog(FormDialog):
    """Edits what holds for all domains; ``values`` gives what differs."""

    def __init__(self, parent: QWidget, options: GuiOptions) -> None:
        super().__init__(parent, "Window options", "Save")
        self._options = options
        self.add_note("These hold for the windows of all domains. A domain’s own settings may allow it full screen.")
        self._fields: dict[str, QCheckBox | SpinBox | ComboBox] = {}
        for key, (name, words) in _FIELDS.items():
            option, present = GUI_OPTIONS[key], options.value(key)
            field: QCheckBox | SpinBox | ComboBox
            check = None
            if isinstance(option.default, bool):
                field = QCheckBox(words)
                field.setChecked(bool(present))
            elif isinstance(option.default, str):
                field = _key_box(key, str(present))
                check = partial(self._check_keys, key, field)
                field.currentTextChanged.connect(self.validate)
            else:
                field = number_box(option.low, option.high, int(present), words)
            field.setToolTip(plain_tip(f"{key}: {option.about}; default: {option.default}"))
            self._fields[key] = field
            self.add_field(name, field, check)
        if own := len(options.domains):
            self.add_note(f"Domains with options of their own: {own}.")
        self.policy = policy_button()
        self.finish(next(iter(self._fields.values())), self.policy)
        self.validate()

    def values(self) -> dict[str, Value | None]:
        """What the user changed; None where it is the default again."""
        found = {key: GUI_OPTIONS[key].check(_value(field)) for key, field in self._fields.items()}
        return {
            key: None if value == GUI_OPTIONS[key].default else value
            for key, value in found.items()
            if value != self._options.value(key)
        }

    def _check_keys(self, key: str, field: ComboBox) -> None:
        values: dict[str, Value | None] = {key: GUI_OPTIONS[key].check(field.currentText())}
        for other in KEY_OPTIONS.keys() - {key}:
            # What is wrong with that one is said below it.
            with suppress(BadInput):
                values[other] = GUI_OPTIONS[other].check(_value(self._fields[other]))
        self._options.refuse_same_keys(values)


def _key_box(key: str, present: str) -> ComboBox:
    box = ComboBox()
    box.setEditable(True)
    for keys in _OFFERED_KEYS[key]:
        box.offer(keys)
    box.setCurrentText(present)
    return box


def _value(field: QCheckBox | SpinBox | ComboBox) -> Value:
    if isinstance(field, QCheckBox):
        return field.isChecked()
    return field.currentText() if isinstance(field, ComboBox) else field.value()
