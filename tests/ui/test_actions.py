"""Actions: icons, keys, and where they apply."""

from dataclasses import replace

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import DomainKey, DomainState
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.ui.actions import DOMAIN_ACTIONS, WINDOW_ACTIONS, ActionSet
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.look.icons import icon
from tests.ui.conftest import WORK


def test_every_action_has_its_icon_and_every_domain_action_its_operation(qapp: QApplication) -> None:
    for spec in (*DOMAIN_ACTIONS, *WINDOW_ACTIONS):
        # Sub-menus stand by their names alone.
        assert spec.icon or spec.alone
        assert not spec.icon or not icon(spec.icon).isNull()
    assert {spec.id for spec in DOMAIN_ACTIONS} == set(OPERATIONS)
    keys = [spec.key for spec in (*DOMAIN_ACTIONS, *WINDOW_ACTIONS) if spec.key]
    assert len(keys) == len(set(keys)), "a key does one thing"


def test_actions_are_enabled_where_they_apply(qtbot: QtBot) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    actions = ActionSet(bar, DOMAIN_ACTIONS, lambda _id: None)
    running = replace(WORK, key=DomainKey("x", "2"), state=DomainState.RUNNING)
    actions.enable_for([WORK])
    assert actions["start"].isEnabled() and not actions["kill"].isEnabled()
    actions.enable_for([WORK, running])
    assert actions["start"].isEnabled() and actions["kill"].isEnabled()
    assert not actions["rename"].isEnabled()
    actions.enable_for([])
    assert not any(actions[spec.id].isEnabled() for spec in DOMAIN_ACTIONS)
