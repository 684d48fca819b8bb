"""The form of a domain’s settings."""

import asyncio
import json
from unittest.mock import call, create_autospec

from PySide6.QtWidgets import QWidget

from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.services.domains.properties import Properties
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from tests.ui.conftest import WORK, domain


def test_the_settings_form_changes_only_what_was_changed(parent: QWidget) -> None:
    properties = create_autospec(Properties)
    dialog = SettingsDialog(parent, WORK)
    assert dialog.changes(properties) == []
    dialog.memory.setValue(512)
    dialog.tags.setText("a b")
    dialog.name.setText("play")

    async def make() -> None:
        for change in dialog.changes(properties):
            await change()

    asyncio.run(make())
    key = WORK.key
    assert properties.method_calls == [
        call.set_memory(key, 512),
        call.set_tags(key, frozenset({"a", "b"})),
        call.rename(key, "play"),
    ]


def test_a_domain_s_settings_have_its_full_screen(parent: QWidget) -> None:
    options = GuiOptions(domains={"work": {"allow_fullscreen": True}})
    dialog = SettingsDialog(parent, domain("work"), options=options)
    assert dialog.fullscreen.currentData() is True
    other = SettingsDialog(parent, domain("other"), options=options)
    assert other.fullscreen.currentData() is None
    assert "refused" in other.fullscreen.currentText()
    assert json.dumps(other.fullscreen.itemData(2)) == "false"
