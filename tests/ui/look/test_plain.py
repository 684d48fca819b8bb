"""Widgets that show text as it is."""

import pytest
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.ui.look.plain import PlainBox, PlainField, PlainLabel, menu_text, window_title


@pytest.mark.parametrize("text", ["<b>x</b>", "&amp;", "<!-- x", "a & b", "plain"])
def test_a_label_shows_what_it_is_given(qtbot: QtBot, text: str) -> None:
    reference, label = QLabel("w"), PlainLabel(text)
    for widget in (reference, label):
        qtbot.addWidget(widget)
    assert label.text() == text
    # Markup would be narrower than its letters.
    assert label.sizeHint().width() >= label.fontMetrics().horizontalAdvance(text)


def test_what_hides_or_reorders_is_written_out_and_length_is_bounded(qtbot: QtBot) -> None:
    label = PlainLabel("a\u202eb")
    qtbot.addWidget(label)
    assert label.text() == r"a\u202eb"
    label.setText("x" * 1_000_000)
    assert len(label.text()) == 4001


def test_both_texts_of_a_box_are_plain(qtbot: QtBot, parent: QWidget) -> None:
    box = PlainBox(parent, "Delete [*]", "<h1>a</h1>", "<h1>b</h1>")
    texts = [label for label in box.findChildren(QLabel) if label.text()]
    assert sorted(label.text() for label in texts) == ["<h1>a</h1>", "<h1>b</h1>"]
    assert {label.textFormat().name for label in texts} == {"PlainText"}


def test_titles_and_menus_have_signs_of_their_own() -> None:
    assert window_title("Logs of\n[*]\x1b") == r"Logs of [*][*]\x1b"
    assert menu_text("Tom & Jerry\n\u202e") == r"Tom && Jerry \u202e"


def test_a_field_has_no_markup_and_the_height_of_its_lines(qtbot: QtBot) -> None:
    field = PlainField("<img src='x'>" + "y" * 200)
    qtbot.addWidget(field)
    field.resize(2000, 10)
    field.show()
    one = field.height()
    field.resize(120, 10)
    assert field.height() > 5 * one
    assert field.toPlainText().startswith("<img")
