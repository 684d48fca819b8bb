"""What a window shows where there is nothing yet."""

from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from qubes_manager.ui.feedback.empty_state import EmptyState


def test_a_hint_of_many_lines_is_shown_whole(qtbot: QtBot) -> None:
    hint = "A sentence that is so long that it takes several lines where it stands. " * 5
    page = EmptyState("Nothing yet", hint, [], picture=False)
    qtbot.addWidget(page)
    page.resize(700, 400)
    page.show()
    label = next(label for label in page.findChildren(QLabel) if label.text() == hint)
    assert label.height() >= label.heightForWidth(label.width()) > 3 * label.fontMetrics().height()
