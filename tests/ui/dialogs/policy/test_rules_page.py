"""The rules in words."""

from pytestqt.qtbot import QtBot

from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.rules_page import RulesPage
from tests.ui.dialogs.policy.conftest import rows


def test_rules_are_shown_in_their_order_and_found_by_their_words(qtbot: QtBot, files: PolicyFiles) -> None:
    page = RulesPage()
    qtbot.addWidget(page)
    page.show_policy(files.load())
    shown = rows(page.table)
    assert shown[0] == ["30-user.policy:1", "work", "my.Service", "vault", "allowed"]
    assert len(shown) == len(files.load().rules)
    page.search.setText("OTHER.one")
    assert [row[0] for row in rows(page.table)] == ["30-user.policy:3"]


def test_a_rule_that_is_double_clicked_is_opened(qtbot: QtBot, files: PolicyFiles) -> None:
    page = RulesPage()
    qtbot.addWidget(page)
    page.show_policy(files.load())
    opened: list[tuple[str, int]] = []
    page.opened.connect(lambda file, line: opened.append((file, line)))
    page.table.itemActivated.emit(page.table.topLevelItem(1), 0)
    assert opened == [("30-user.policy", 2)]
