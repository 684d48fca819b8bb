"""What of the window is kept from one time to the next."""

from dataclasses import replace

import qasync
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from qubes_manager.core.settings import ColumnSetting, Settings
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from qubes_manager.services.assembly import Services
from qubes_manager.ui.main_window import MainWindow

KEPT = Settings(
    connections=["test:///default"],
    appearance="light",
    columns=[ColumnSetting("name", 200, True), ColumnSetting("state", 90, True), ColumnSetting("ip", 120, False)],
    sort_column="memory",
    sort_descending=True,
    filter="saved",
    unasked=["pause", "start"],
    window_width=900,
    window_height=600,
    show_details=False,
    show_applications=False,
    show_devices=True,
    show_toolbar=False,
    show_waiting=True,
    setup_offered=True,
)


def test_what_is_restored_is_what_is_collected(qtbot: QtBot, loop: qasync.QEventLoop, services: Services) -> None:
    window = MainWindow(services, KEPT)
    qtbot.addWidget(window)
    header = window.view.horizontalHeader()
    assert header.sortIndicatorSection() == COLUMN_INDEX["memory"]
    assert header.sortIndicatorOrder() is Qt.SortOrder.DescendingOrder
    assert window.toolbar.isHidden() and window.dock.isHidden() and window.applications.isHidden()
    assert window.filter.box.currentData() == "saved"
    collected = window.current_settings()
    assert collected.columns[:3] == KEPT.columns
    assert {column.id for column in collected.columns} == {column.id for column in COLUMNS}
    assert replace(collected, columns=KEPT.columns) == KEPT


def test_what_the_user_changes_is_collected(qtbot: QtBot, loop: qasync.QEventLoop, services: Services) -> None:
    window = MainWindow(services, Settings(sort_column="gone"))
    qtbot.addWidget(window)
    assert window.current_settings().sort_column == "name"
    window.filter.choose("templates")
    window.window_actions["details"].trigger()
    next(a for a in window.appearances.actions() if a.data() == "light").trigger()
    window.view.setColumnHidden(COLUMN_INDEX["cpu"], True)
    now = window.current_settings()
    assert (now.filter, now.show_details, now.show_toolbar, now.appearance) == ("templates", False, True, "light")
    assert [c.visible for c in now.columns if c.id == "cpu"] == [False]
