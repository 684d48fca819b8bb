"""Search field, box and menu that choose rows together."""

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.models.domain_filter import FILTERS, TableFilter
from qubes_manager.ui.table.filter_controls import FilterControls


@pytest.fixture
def controls(qtbot: QtBot, parent: QWidget) -> FilterControls:
    controls = FilterControls(parent)
    qtbot.addWidget(controls.search)
    qtbot.addWidget(controls.box)
    return controls


def test_box_and_menu_show_the_same_filter(controls: FilterControls) -> None:
    said: list[TableFilter] = []
    controls.changed.connect(said.append)
    controls.choose("halted")
    assert (controls.chosen, controls.menu.chosen, controls.box.currentData()) == ("halted",) * 3
    by_text = {action.text(): action for action in controls.menu.actions()}
    by_text["Running"].trigger()
    assert (controls.chosen, controls.menu.chosen, controls.box.currentData()) == ("running",) * 3
    controls.box.activated.emit(list(FILTERS).index("templates"))
    assert (controls.chosen, controls.menu.chosen, controls.box.currentData()) == ("templates",) * 3
    assert said == [TableFilter.of(name, "") for name in ("halted", "running", "templates")]


def test_the_text_narrows_the_filter_until_all_is_shown_again(controls: FilterControls) -> None:
    said: list[TableFilter] = []
    controls.choose("halted")
    controls.changed.connect(said.append)
    QTest.keyClicks(controls.search, "a B")
    assert said[-1] == TableFilter(FILTERS["halted"], ("a", "b"))
    controls.show_all()
    assert said[-1] == TableFilter()
    assert (controls.chosen, controls.search.text()) == ("all", "")
