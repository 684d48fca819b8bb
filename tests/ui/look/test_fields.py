"""The mouse wheel over fields."""

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager import ui
from qubes_manager.ui.look.fields import ComboBox, SpinBox


def turn(field: QWidget) -> bool:
    """Turn the wheel one notch down over *field* as the window system would; returns whether somebody took it."""
    place = QPointF(field.rect().center())
    event = QWheelEvent(
        place,
        QPointF(field.mapToGlobal(field.rect().center())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(field, event)
    return event.isAccepted()


@pytest.mark.parametrize("kind", [ComboBox, SpinBox])
def test_the_wheel_turns_only_the_field_that_has_the_focus(
    parent: QWidget, qtbot: QtBot, kind: type[ComboBox | SpinBox]
) -> None:
    other, field = QLineEdit(), kind()
    if isinstance(field, ComboBox):
        field.addItems(["a", "b", "c"])
    else:
        field.setValue(50)
    layout = QVBoxLayout(parent)
    for widget in (other, field):
        layout.addWidget(widget)
    parent.show()
    parent.activateWindow()
    other.setFocus()
    qtbot.waitUntil(other.hasFocus)

    def value() -> int:
        return field.currentIndex() if isinstance(field, ComboBox) else field.value()

    before = value()
    assert not turn(field) and value() == before
    # Nor does the wheel give it the focus, so that the next notch would turn it.
    assert not turn(field) and value() == before and not field.hasFocus()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    assert turn(field) and value() != before


def test_no_window_of_ours_has_a_field_that_the_wheel_turns_unasked() -> None:
    sources = Path(ui.__path__[0]).rglob("*.py")
    bad = [p.name for p in sources if p.name != "fields.py" and {"QComboBox", "QSpinBox"} & set(_words(p))]
    assert bad == []


def _words(path: Path) -> list[str]:
    return path.read_text().replace("(", " ").replace(",", " ").replace(":", " ").split()


def test_a_choice_is_shown_harmless_and_meant_to_the_letter(qtbot: QtBot) -> None:
    box = ComboBox()
    qtbot.addWidget(box)
    box.offer("a\u202eb")
    box.offer("none", "")
    assert [(box.itemText(row), box.itemData(row)) for row in range(2)] == [(r"a\u202eb", "a\u202eb"), ("none", "")]
