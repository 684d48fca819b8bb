"""Tables and choices of the policy dialog."""

from pytestqt.qtbot import QtBot

from qubes_manager.ui.dialogs.policy.cells import chosen, fill, new_choice, new_table, offer
from tests.ui.dialogs.policy.conftest import rows


def test_a_choice_keeps_what_was_chosen_or_written(qtbot: QtBot) -> None:
    choice = new_choice("Whom", editable=True)
    qtbot.addWidget(choice)
    offer(choice, [("the first", "1"), ("the second", "2")])
    assert chosen(choice) == "1"
    choice.setCurrentIndex(1)
    offer(choice, [("another", "0"), ("the second", "2")])
    assert chosen(choice) == "2"
    choice.setEditText(" my own ")
    offer(choice, [("another", "0")])
    assert chosen(choice) == "my own"


def test_what_was_chosen_and_is_gone_gives_way_to_the_first(qtbot: QtBot) -> None:
    choice = new_choice("Whom")
    qtbot.addWidget(choice)
    offer(choice, [("one", "1"), ("two", "2")])
    choice.setCurrentIndex(1)
    offer(choice, [("one", "1")])
    assert chosen(choice) == "1"


def test_a_name_is_given_back_to_the_letter(qtbot: QtBot) -> None:
    choice = new_choice("Whom")
    qtbot.addWidget(choice)
    offer(choice, [("a\u202eb", "a\u202eb")])
    assert (choice.currentText(), chosen(choice)) == ("a\\u202eb", "a\u202eb")


def test_a_table_has_its_rows_and_no_others(qtbot: QtBot) -> None:
    table = new_table("Things", ("One", "Two"))
    qtbot.addWidget(table)
    fill(table, [(("a", "b\nc"), "tip")])
    fill(table, [(("a", "b\nc"), "tip")])
    assert rows(table) == [["a", "b\\nc"]]
