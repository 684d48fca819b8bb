"""The form of a domain’s settings: only what the user changed is judged and written."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from unittest.mock import call, create_autospec

import pytest
from PySide6.QtWidgets import QLabel, QWidget

from qubes_manager.core.domain import Disposal, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.interfaces import Interface
from qubes_manager.services.domains.properties import MAX_NOTES, Properties
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from tests.ui.conftest import WORK, domain


def with_config(**config: Any) -> Domain:
    return replace(WORK, config=replace(WORK.config, **config))


def saved(dialog: SettingsDialog) -> list[Any]:
    """What is asked of the properties when the form is saved."""
    properties = create_autospec(Properties, instance=True)
    since = create_autospec(Properties, instance=True)
    properties.since.return_value = since

    async def make() -> None:
        for change in dialog.changes(properties):
            await change()

    asyncio.run(make())
    return list(since.method_calls)


def problems(dialog: SettingsDialog) -> list[str]:
    return [label.text() for label in dialog.findChildren(QLabel, "problem") if not label.isHidden()]


def test_the_settings_form_changes_only_what_was_changed(parent: QWidget) -> None:
    dialog = SettingsDialog(parent, WORK)
    assert saved(dialog) == []
    dialog.memory.setValue(512)
    dialog.tags.setText("a b")
    dialog.name.setText("play")
    key = WORK.key
    assert saved(dialog) == [
        call.set_memory(key, 512),
        call.change_tags(key, frozenset({"a", "b"}), frozenset()),
        call.rename(key, "play"),
    ]


def test_what_is_saved_is_what_differs_from_what_was_shown(parent: QWidget) -> None:
    properties = create_autospec(Properties, instance=True)
    SettingsDialog(parent, WORK).changes(properties)
    properties.since.assert_called_once_with(WORK)


@pytest.mark.parametrize("name", ["debian 12", "Größe", "a" * 47, "1st", "dom0"])
def test_a_name_that_others_gave_and_nobody_touches_keeps_nothing_from_being_saved(parent: QWidget, name: str) -> None:
    dialog = SettingsDialog(parent, replace(WORK, name=name))
    dialog.label.setCurrentIndex(dialog.label.findData("red"))
    assert dialog.ok.isEnabled() and problems(dialog) == []
    assert saved(dialog) == [call.set_label(WORK.key, "red")]
    dialog.name.setText("not so")
    assert not dialog.ok.isEnabled()


@pytest.mark.parametrize(
    "config",
    [
        {"vcpus": 1024},
        {"initial_memory_kib": 8 << 30, "maximum_memory_kib": 8 << 30},
        {"initial_memory_kib": 8 << 10, "maximum_memory_kib": 8 << 10},
        {"initial_memory_kib": 16500, "maximum_memory_kib": 16500},
        {"notes": "no\u00a0break, \u2028line, \u2029paragraph\r\nand\rreturn"},
        {"notes": "x" * (MAX_NOTES + 1)},
        {"tags": frozenset({"a b", "x" * 300})},
        {"tags": frozenset({f"tag-{n:06}" for n in range(5000)})},
        {"interfaces": (Interface("server", "127.0.0.1:5"), Interface("bridge", "br0"))},
        {"template": "gone", "default_dispvm": "gone"},
    ],
    ids=lambda config: " ".join(f"{k}={str(v)[:12]}" for k, v in config.items()),
)
def test_whatever_others_have_set_stays_as_it_is(parent: QWidget, config: dict[str, Any]) -> None:
    dialog = SettingsDialog(parent, with_config(**config), most_vcpus=8)
    dialog.label.setCurrentIndex(dialog.label.findData("red"))
    assert dialog.ok.isEnabled() and problems(dialog) == []
    assert saved(dialog) == [call.set_label(WORK.key, "red")]


def test_what_its_disposables_are_made_of_is_the_default_none_or_a_name(parent: QWidget) -> None:
    dvm = replace(WORK, name="dvm", config=replace(WORK.config, template_for_dispvms=True))
    dialog = SettingsDialog(parent, with_config(default_dispvm=""), [dvm], default_dispvm="dvm")
    assert [dialog.dispvm.itemText(n) for n in range(3)] == ["default (dvm)", "none", "dvm"]
    assert dialog.dispvm.currentIndex() == 0
    dialog.dispvm.setCurrentIndex(1)
    assert saved(dialog) == [call.set_default_dispvm(WORK.key, "none")]


def test_notes_keep_the_characters_that_were_not_edited(parent: QWidget) -> None:
    dialog = SettingsDialog(parent, with_config(notes="a\u00a0b\u2028c\nd"))
    dialog.notes.moveCursor(dialog.notes.textCursor().MoveOperation.End)
    dialog.notes.insertPlainText("e")
    assert saved(dialog) == [call.set_notes(WORK.key, "a\u00a0b\u2028c\nde")]
    dialog.notes.setPlainText("x" * (MAX_NOTES + 1))
    assert problems(dialog) == ["⚠ notes: '256001 characters' cannot be used; use at most 256000"]


def test_a_new_number_of_processors_is_one_that_the_machine_takes(parent: QWidget) -> None:
    dialog = SettingsDialog(parent, WORK, most_vcpus=8)
    dialog.vcpus.setValue(100)
    assert dialog.vcpus.value() == 8


@pytest.mark.parametrize(
    ("memory", "maximum", "first"),
    [(2000, 3000, "set_maximum_memory"), (500, 700, "set_memory"), (1500, 1500, "set_maximum_memory")],
)
def test_memory_and_its_maximum_change_in_the_order_in_which_neither_takes_the_other_along(
    parent: QWidget, memory: int, maximum: int, first: str
) -> None:
    dialog = SettingsDialog(parent, WORK)
    dialog.maximum.setValue(maximum)
    dialog.memory.setValue(memory)
    assert next(name for name, *_ in saved(dialog)) == first


def test_who_chooses_no_network_says_that_all_interfaces_go(parent: QWidget) -> None:
    config = {"interfaces": (Interface("user"), Interface("bridge", "br0"))}
    choices = [("user networking", "user"), ("none", "")]
    dialog = SettingsDialog(parent, with_config(**config), networks=choices)
    assert dialog.all_interfaces.isHidden()
    dialog.network.setCurrentIndex(dialog.network.findData(""))
    assert not dialog.all_interfaces.isHidden() and not dialog.ok.isEnabled()
    dialog.all_interfaces.setChecked(True)
    assert dialog.ok.isEnabled()
    assert saved(dialog) == [call.set_netvm(WORK.key, "", all_interfaces=True)]
    # Of a single one nothing need be said.
    dialog = SettingsDialog(parent, with_config(interfaces=(Interface("user"),)), networks=choices)
    dialog.network.setCurrentIndex(dialog.network.findData(""))
    assert dialog.ok.isEnabled() and dialog.all_interfaces.isHidden()


def test_a_disposable_has_a_title_in_the_place_of_a_name(parent: QWidget) -> None:
    config = DomainConfig(klass=DomainClass.DISPOSABLE, disposal=Disposal.KEPT)
    running = Domain(WORK.key, "disp7", DomainState.RUNNING, persistent=False, config=config)
    dialog = SettingsDialog(parent, running)
    assert not dialog.name.isEnabled()
    assert not dialog.title.isHidden()
    dialog.title.setText("x" * 41)
    assert not dialog.ok.isEnabled()
    dialog.title.setText("Letter")
    assert saved(dialog) == [call.set_title(WORK.key, "Letter")]
    assert SettingsDialog(parent, WORK).title.isHidden()


def test_a_domain_that_runs_is_not_renamed(parent: QWidget) -> None:
    dialog = SettingsDialog(parent, replace(WORK, state=DomainState.RUNNING))
    assert not dialog.name.isEnabled()
    assert dialog.ok.isEnabled()


def test_a_domain_s_settings_have_its_full_screen(parent: QWidget) -> None:
    options = GuiOptions(domains={"work": {"allow_fullscreen": True}})
    dialog = SettingsDialog(parent, domain("work"), options=options)
    assert dialog.fullscreen.currentData() is True
    assert not dialog.changes_fullscreen
    dialog.fullscreen.setCurrentIndex(0)
    assert dialog.changes_fullscreen
    other = SettingsDialog(parent, domain("other"), options=options)
    assert other.fullscreen.currentData() is None
    assert "refused" in other.fullscreen.currentText()
    assert json.dumps(other.fullscreen.itemData(2)) == "false"


def test_whether_it_is_heard_is_set_where_it_can_be(parent: QWidget) -> None:
    app = with_config(klass=DomainClass.APP)
    here = replace(app, key=DomainKey("qemu:///session", "1"))
    dialog = SettingsDialog(parent, here)
    assert dialog.sound.isChecked() and not dialog.sound.isHidden()
    dialog.sound.setChecked(False)
    assert saved(dialog) == [call.set_audiovm(here.key, "none")]
    elsewhere = replace(app, key=DomainKey("qemu:///system", "1"))
    assert SettingsDialog(parent, elsewhere).sound.isHidden()
    template = SettingsDialog(parent, replace(here, config=replace(here.config, klass=DomainClass.TEMPLATE)))
    template.sound.setChecked(True)
    assert saved(template) == [call.set_audiovm(here.key, "dom0")]
