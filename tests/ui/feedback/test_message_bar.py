"""Messages to the person."""

from pytestqt.qtbot import QtBot

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.ui.feedback.message_bar import Level, MessageBar


def test_messages_show_plain_text_and_never_pile_up(qtbot: QtBot) -> None:
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.show_error(QubesManagerError("cannot start “<b>x</b>”: no", "raw text"))
    assert bar.texts == ["Cannot start “<b>x</b>”: no"]
    for number in range(10):
        bar.show_message(Level.WARNING, f"message {number}")
    assert bar.texts == [f"message {number}" for number in (6, 7, 8, 9)]
    bar.show_message(Level.WARNING, "again", key="host")
    bar.show_message(Level.WARNING, "and again", key="host")
    assert bar.texts[-1] == "and again" and "again" not in bar.texts
