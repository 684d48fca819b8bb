"""The form of a domain’s settings."""

import asyncio
import json

from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from tests.ui.conftest import WORK, domain


def test_the_settings_form_changes_only_what_was_changed(qtbot) -> None:
    called: list[str] = []

    class Recorder:
        def __getattr__(self, name: str):
            async def call(*_args: object) -> None:
                called.append(name)

            return call

    dialog = SettingsDialog(None, WORK)
    qtbot.addWidget(dialog)
    assert dialog.changes(Recorder()) == []
    dialog.memory.setValue(512)
    dialog.tags.setText("a b")
    dialog.name.setText("play")
    for change in dialog.changes(Recorder()):
        asyncio.run(change())
    assert called == ["set_memory", "set_tags", "rename"]


def test_a_domain_s_settings_have_its_full_screen(qtbot) -> None:
    options = GuiOptions(domains={"work": {"allow_fullscreen": True}})
    dialog = SettingsDialog(None, domain("work"), options=options)
    qtbot.addWidget(dialog)
    assert dialog.fullscreen.currentData() is True
    other = SettingsDialog(None, domain("other"), options=options)
    qtbot.addWidget(other)
    assert other.fullscreen.currentData() is None
    assert "refused" in other.fullscreen.currentText()
    assert json.dumps(other.fullscreen.itemData(2)) == "false"
