"""The view of the table: its columns, which rows are chosen, and which are on the screen."""

from dataclasses import replace

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLineEdit, QMenu, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.settings import ColumnSetting
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from qubes_manager.models.domain_filter import TableFilter
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.hosts.store import Batch
from qubes_manager.ui.table.domain_view import DomainView
from tests.build import domain

BANK, MAIL, WORK = (domain(name, state=DomainState.HALTED) for name in ("bank", "mail", "work"))


@pytest.fixture
def view(qtbot: QtBot) -> DomainView:
    model = DomainTableModel()
    view = DomainView(model)
    qtbot.addWidget(view)
    model.sort(COLUMN_INDEX["name"])
    model.apply(Batch(added=(WORK, BANK, MAIL)))
    return view


def model_of(view: DomainView) -> DomainTableModel:
    model = view.model()
    assert isinstance(model, DomainTableModel)
    return model


def names(domains: list[Domain]) -> list[str]:
    return [domain.name for domain in domains]


def opened(menu: QMenu) -> dict[str, QAction]:
    """The menu's actions as the user sees them when it opens."""
    menu.aboutToShow.emit()
    return {action.text(): action for action in menu.actions()}


def test_columns_are_arranged_as_they_were_left(view: DomainView) -> None:
    wanted = [ColumnSetting("ip", 77, True), ColumnSetting("gone", 50, True), ColumnSetting("state", 90, False)]
    view.apply_columns([*wanted, ColumnSetting("name", 222, True)])
    kept = view.column_settings()
    assert kept[:3] == [
        ColumnSetting("ip", 77, True),
        # What is hidden comes back as wide as it starts out.
        ColumnSetting("state", COLUMNS[COLUMN_INDEX["state"]].width, False),
        ColumnSetting("name", 222, True),
    ]
    assert {column.id for column in kept} == set(COLUMN_INDEX)


def test_the_ticks_of_the_columns_are_true_whenever_the_menu_opens(view: DomainView, parent: QWidget) -> None:
    menu = view.columns_menu(parent)
    view.apply_columns([ColumnSetting("ip", 100, False), ColumnSetting("host", 100, True)])
    shown = {title for title, action in opened(menu).items() if action.isChecked()}
    assert "IP" not in shown and {"Host", "Name", "State"} <= shown
    view.setColumnHidden(COLUMN_INDEX["host"], True)
    assert not opened(menu)["Host"].isChecked()


def test_a_tick_shows_and_hides_its_column_and_the_name_always_stays(view: DomainView, parent: QWidget) -> None:
    actions = opened(view.columns_menu(parent))
    actions["IP"].trigger()
    assert view.isColumnHidden(COLUMN_INDEX["ip"])
    actions["IP"].trigger()
    assert not view.isColumnHidden(COLUMN_INDEX["ip"])
    assert [title for title, action in actions.items() if not action.isEnabled()] == ["Name"]


def test_the_chosen_come_from_top_to_bottom_whatever_was_clicked_first(view: DomainView) -> None:
    view.select([WORK.key, BANK.key])
    assert names(view.selected_domains()) == ["bank", "work"]


def test_who_is_chosen_stays_so_when_the_table_is_made_anew(view: DomainView) -> None:
    view.select([BANK.key, WORK.key])
    view.selectRow(1)
    crowd = tuple(domain(f"vm{number:03}", state=DomainState.RUNNING) for number in range(300))
    model = model_of(view)
    resets: list[int] = []
    model.modelReset.connect(lambda: resets.append(model.rowCount()))
    # Every other row goes, and then comes again: too many pieces for anything but a new beginning.
    model.apply(Batch(added=tuple(replace(d, state=DomainState.HALTED) for d in crowd[::2])))
    model.apply(Batch(added=crowd[1::2]))
    model.set_filter(TableFilter.of("halted", ""))
    assert resets, "the table was made anew"
    assert names(view.selected_domains()) == ["mail"]
    assert model.key_at(view.currentIndex().row()) == MAIL.key


def test_a_name_is_typed_in_its_row_when_one_domain_is_chosen(view: DomainView, qtbot: QtBot) -> None:
    asked: list[tuple[object, str]] = []
    model_of(view).rename_requested.connect(lambda key, name: asked.append((key, name)))
    view.show()
    view.select([BANK.key, WORK.key])
    view.edit_name()
    assert not view.findChildren(QLineEdit), "two names are not typed at once"
    view.select([WORK.key])
    view.edit_name()
    [field] = view.findChildren(QLineEdit)
    assert field.text() == "work"
    field.setText("play")
    view.commitData(field)
    assert asked == [(WORK.key, "play")]
    assert names(view.selected_domains()) == ["work"], "the row changes when libvirt has done it"


def test_rows_are_on_the_screen_only_while_the_view_is(view: DomainView, qtbot: QtBot) -> None:
    assert view.visible_keys() == []
    view.resize(600, view.horizontalHeader().height() + 2 * view.sizeHintForRow(0))
    with qtbot.waitSignal(view.visible_changed) as shown:
        view.show()
    assert shown.args == [[BANK.key, MAIL.key]]
    with qtbot.waitSignal(view.visible_changed) as hidden:
        view.hide()
    assert hidden.args == [[]]
