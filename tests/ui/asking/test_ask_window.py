"""The window that asks: what it says, and which answers it gives."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QTextEdit
from pytestqt.qtbot import QtBot

from qubes_manager.core.crossing.question import Answer, Question
from qubes_manager.ui.asking.ask_window import AskWindow
from qubes_manager.ui.asking.attention import REST
from tests.ui.test_foreign_text import MARKUP, check_all


class Asked:
    """A window with the user's attention, and what it answered."""

    def __init__(self, qtbot: QtBot, question: Question, *, attentive: bool = True) -> None:
        self.window = AskWindow(question, 20 if attentive else REST)
        qtbot.addWidget(self.window)
        self.answers: list[Answer] = []
        self.window.answered.connect(self.answers.append)
        self.window.show()
        self.window.activateWindow()
        qtbot.waitUntil(self.window.isActiveWindow)
        if attentive:
            qtbot.waitUntil(lambda: self.window.attention.is_given)
        self.targets = self.window.targets
        # Keys come to the window, as they do from a screen, and go to the widget that has the focus.
        self._handle = self.window.windowHandle()

    def key_click(self, key: Qt.Key) -> None:
        self.key_press(key)
        self.key_release(key)

    def key_press(self, key: Qt.Key) -> None:
        # As long after the last one as a finger needs.
        QTest.qWait(20)
        QTest.keyPress(self._handle, key)

    def key_release(self, key: Qt.Key) -> None:
        QTest.keyRelease(self._handle, key)

    def shown(self) -> list[str]:
        items = (self.targets.list.item(row) for row in range(self.targets.list.count()))
        return [item.text() for item in items if not item.isHidden()]

    def says(self) -> str:
        labels = [label.text() for label in self.window.findChildren(QLabel)]
        return "\n".join(labels + [field.toPlainText() for field in self.window.findChildren(QTextEdit)])


def test_it_says_who_wants_what(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, requested="work"), attentive=False)

    says = asked.says()
    assert "untrusted" in says
    assert "wants to copy 3 files (5.0 MiB) to another domain." in says
    assert "Service qubes.Filecopy" in says
    assert "“untrusted” itself says:" in says
    assert "• report.pdf\n• notes.txt\n… and 1 more\nIt asked for the domain “work”." in says


def test_a_disposable_asks_under_the_title_that_its_user_gave_it(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, source="disp7", source_title="Letter"), attentive=False)

    assert "Letter (disp7)" in asked.says()
    assert asked.window.windowTitle().startswith("“Letter (disp7)” asks")


def test_targets_stand_in_their_groups(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, question, attentive=False)

    assert asked.shown() == ["Running", "work", "web", "Disposable", "New disposable of web", "Halted", "vault"]
    assert asked.targets.list.item(1).data(Qt.ItemDataRole.AccessibleTextRole) == "work, blue, Running"


def test_nothing_is_chosen_and_so_nothing_can_be_allowed(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, question)

    assert asked.targets.chosen is None
    asked.key_click(Qt.Key.Key_Return)
    assert not asked.window.ok.isEnabled()
    assert not asked.window.grant.isEnabled()
    assert asked.answers == []


def test_a_default_target_waits_for_return_alone(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, default_target="vault"))

    asked.key_click(Qt.Key.Key_Return)

    assert asked.answers == [Answer("vault")]


def test_it_is_answered_by_keys_alone(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, question)

    QTest.keyClicks(asked.targets.search, "WE")
    assert asked.shown() == ["Running", "web", "Disposable", "New disposable of web"]
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Return):
        asked.key_click(key)

    assert asked.answers == [Answer("@dispvm:web")]


def test_what_is_filtered_out_is_not_chosen_any_more(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, default_target="vault"))

    QTest.keyClicks(asked.targets.search, "hello")
    asked.key_click(Qt.Key.Key_Return)

    assert "No domain of that name" in asked.says()
    assert asked.answers == []
    asked.targets.search.clear()
    assert asked.targets.chosen is None


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape], ids=lambda key: key.name)
def test_no_key_answers_before_it_has_had_attention(qtbot: QtBot, question: Question, key: Qt.Key) -> None:
    asked = Asked(qtbot, replace(question, default_target="work"), attentive=False)

    assert "The buttons work in a second." in asked.says()
    assert not (asked.window.ok.isEnabled() or asked.window.cancel.isEnabled() or asked.window.block.isEnabled())
    asked.key_click(key)
    asked.window.close()
    asked.window.reject()

    assert asked.answers == []
    assert asked.window.isVisible()


def test_a_key_that_was_down_already_answers_only_once_it_was_up(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, default_target="work"), attentive=False)

    asked.key_press(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: asked.window.attention.is_given)
    asked.key_press(Qt.Key.Key_Return)
    assert asked.answers == []
    asked.key_release(Qt.Key.Key_Return)
    asked.key_click(Qt.Key.Key_Return)

    assert asked.answers == [Answer("work")]


def test_space_held_down_presses_no_button(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, question, attentive=False)
    # As it is while the window waits; the focus moves to a button by Tab alone.
    asked.key_press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: asked.window.attention.is_given)
    asked.window.block.setFocus()
    asked.key_press(Qt.Key.Key_Space)
    asked.key_release(Qt.Key.Key_Space)
    assert asked.answers == []

    asked.key_click(Qt.Key.Key_Space)
    assert asked.answers == [Answer(block_source=True)]


def test_losing_the_focus_makes_it_wait_again(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, default_target="work"))

    QApplication.sendEvent(asked.window, QEvent(QEvent.Type.WindowDeactivate))
    assert not asked.window.ok.isEnabled()
    asked.key_click(Qt.Key.Key_Return)

    assert asked.answers == []


def test_escape_says_no(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, question)

    asked.key_click(Qt.Key.Key_Escape)

    assert asked.answers == [Answer()]


def test_a_pair_is_allowed_for_the_session_when_that_is_ticked(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, default_target="work"))

    asked.window.grant.setChecked(True)
    asked.window.ok.click()

    assert asked.answers == [Answer("work", grant_session=True)]


def test_no_grant_is_offered_where_none_may_be_given(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, default_target="work", can_grant=False))

    assert not asked.window.grant.isVisible()
    asked.window.grant.setChecked(True)
    asked.window.ok.click()
    assert asked.answers == [Answer("work")]


def test_everything_has_a_name_for_a_screen_reader(qtbot: QtBot, question: Question) -> None:
    window = Asked(qtbot, question, attentive=False).window

    assert window.targets.search.accessibleName() == "Search a domain"
    assert window.targets.list.accessibleName() == "Domains to choose from"
    assert {button.text() for button in (window.ok, window.cancel)} == {"OK", "Cancel"}


def test_a_guests_words_are_bounded_and_no_markup(qtbot: QtBot, question: Question) -> None:
    hostile = replace(
        question, source=MARKUP, names=(MARKUP, "x" * 200 + ".exe", "a\nb"), sentence=MARKUP, requested=MARKUP
    )
    asked = Asked(qtbot, hostile, attentive=False)

    assert check_all(asked.window) >= 3
    assert f"• {'x' * 45}…{'x' * 41}.exe" in asked.says()
    assert "a\\nb" in asked.says()


def test_names_that_hide_characters_are_told_apart(qtbot: QtBot, question: Question) -> None:
    choices = tuple(
        replace(question.choices[0], target=name, title=name) for name in ("work", "wo\u200brk", "\u202ekrow")
    )
    asked = Asked(qtbot, replace(question, choices=choices, default_target="wo\u200brk"))

    assert asked.shown() == ["Running", "work", "wo\\u200brk", "\\u202ekrow"]
    asked.key_click(Qt.Key.Key_Return)
    assert asked.answers == [Answer("wo\u200brk")]


def test_five_thousand_domains_are_searched_as_one_types(qtbot: QtBot, question: Question) -> None:
    choices = tuple(replace(question.choices[0], target=f"d{n}", title=f"domain {n}") for n in range(5000))
    asked = Asked(qtbot, replace(question, choices=choices), attentive=False)

    QTest.keyClicks(asked.targets.search, "4999")

    assert asked.shown() == ["Running", "domain 4999"]


def test_whatever_a_guest_says_the_buttons_stay_on_a_small_screen(qtbot: QtBot, question: Question) -> None:
    names = ("W" * 200,) * 20
    said = replace(question, argument="a" * 512, names=names, requested="W" * 64, source="W" * 250)
    asked = Asked(qtbot, said, attentive=False)

    least = asked.window.minimumSizeHint()
    assert least.width() <= 800
    assert least.height() <= 740


def test_it_says_who_has_had_a_disposable_made(qtbot: QtBot, question: Question) -> None:
    asked = Asked(qtbot, replace(question, source="disp12", origin="untrusted"), attentive=False)

    assert "a disposable that “untrusted” has had made" in asked.says()
