"""What all forms share: problems beside their fields, OK that waits, names for screen readers."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialogButtonBox, QLabel, QLineEdit, QWidget

from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.ui.dialogs.form_dialog import FormDialog, label_box, number_box


class Form(FormDialog):
    """Two fields: a word that must be “good”, and one that no guest may have taken."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, "Form", "Make")
        self.word, self.other = QLineEdit(), QLineEdit("free")
        self.add_field("Word", self.word, self._check_word)
        self.add_field("Other", self.other, self._check_other)
        for field in (self.word, self.other):
            field.textChanged.connect(self.validate)
        self.finish(self.other)
        self.validate()

    def _check_word(self) -> None:
        if self.word.text() != "good":
            raise BadInput("word", self.word.text(), "use <b>good</b>")

    def _check_other(self) -> None:
        if self.other.text() == "taken":
            raise Refused("it is taken")

    @property
    def problems(self) -> list[str]:
        """What stands below the fields."""
        return [p.text() for p in self.findChildren(QLabel, "problem") if p.isVisible()]


@pytest.fixture
def form(parent: QWidget) -> Iterator[Form]:
    form = Form(parent)
    form.show()
    yield form
    form.close()


def test_ok_waits_for_good_input_and_each_problem_stands_below_its_field(form: Form) -> None:
    form.word.setText("bad")
    form.other.setText("taken")
    assert form.problems == ["⚠ word: 'bad' cannot be used; use <b>good</b>", "⚠ it is taken"]
    assert not form.ok.isEnabled()
    form.other.setText("free")
    assert len(form.problems) == 1 and not form.ok.isEnabled()
    form.word.setText("good")
    assert form.problems == [] and form.ok.isEnabled()


def test_a_field_that_is_still_empty_is_not_scolded_but_waited_for(form: Form) -> None:
    assert form.problems == [] and not form.ok.isEnabled()


def test_problems_and_notes_are_no_markup(form: Form) -> None:
    form.add_note("<b>from a guest</b>")
    form.word.setText("bad")
    marked = [label for label in form.findChildren(QLabel) if "<b>" in label.text()]
    assert [label.textFormat() for label in marked] == [Qt.TextFormat.PlainText] * 2


def test_a_hidden_field_takes_its_name_with_it(form: Form) -> None:
    form.show_field(form.word, False)
    assert not form.form.labelForField(form.word).isVisible() and not form.word.isVisible()
    form.show_field(form.word, True)
    assert form.word.isVisible()


def test_return_presses_ok_once_it_may_be_pressed_and_never_cancel(form: Form) -> None:
    closed: list[int] = []
    form.finished.connect(closed.append)
    QTest.keyClick(form.other, Qt.Key.Key_Return)
    form.word.setText("bad")
    QTest.keyClick(form.other, Qt.Key.Key_Return)
    assert closed == []
    form.word.setText("good")
    QTest.keyClick(form.other, Qt.Key.Key_Return)
    assert closed == [FormDialog.DialogCode.Accepted]


def test_a_screen_reader_hears_each_field_s_name_and_one_starts_in_the_first_to_fill(form: Form) -> None:
    assert [form.word.accessibleName(), form.other.accessibleName()] == ["Word", "Other"]
    assert form.focusWidget() is form.other
    [buttons] = form.findChildren(QDialogButtonBox)
    assert {b.text().replace("&", "") for b in buttons.buttons()} == {"Make", "Cancel"}


def test_the_choice_of_labels_goes_from_least_to_most_trusted_and_may_be_none(parent: QWidget) -> None:
    box = label_box("green", may_be_none=True)
    box.setParent(parent)
    assert box.currentData() == "green"
    assert [box.itemData(n) for n in range(box.count())] == ["", *LABELS]
    assert not box.itemIcon(1).isNull(), "each with its colour"
    assert label_box("gone").currentData() == "red"


def test_a_number_keeps_to_its_bounds_and_has_its_unit(parent: QWidget) -> None:
    box = number_box(64, 4096, 512, " MiB")
    box.setParent(parent)
    assert (box.value(), box.suffix()) == (512, " MiB")
    box.setValue(99_999)
    assert box.value() == 4096


@pytest.mark.parametrize("there", [8, 8 << 20])
def test_a_number_that_is_beyond_what_we_would_give_is_shown_as_it_is(parent: QWidget, there: int) -> None:
    box = number_box(16, 4096, there, " MiB")
    box.setParent(parent)
    assert box.value() == there
