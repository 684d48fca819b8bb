"""The table's model, checked by Qt's own model tester."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QItemSelectionModel, QPersistentModelIndex, Qt
from PySide6.QtGui import QPalette
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import (
    HOST_UUID,
    INTERNAL,
    UNREAD,
    Disposal,
    Domain,
    DomainClass,
    DomainConfig,
    DomainKey,
    DomainState,
    Usage,
)
from qubes_manager.core.labels import LABELS
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from qubes_manager.models.domain_filter import FILTERS, TableFilter
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.hosts.store import Batch
from tests.ui.conftest import tip_says


def domain(number: int, **changes: Any) -> Domain:
    key = DomainKey("test:///x", f"{number:08d}")
    return replace(Domain(key, f"vm{number:03d}", DomainState.HALTED, config=DomainConfig()), **changes)


@pytest.fixture
def model(qapp: QApplication) -> DomainTableModel:
    model = DomainTableModel()
    # It belongs to the model, so that it lives as long.
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal, model)
    return model


def names(model: DomainTableModel) -> list[str]:
    column = COLUMN_INDEX["name"]
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_rows_come_sorted_by_name_with_the_host_first(model: DomainTableModel) -> None:
    host = Domain(DomainKey("test:///x", HOST_UUID), "dom0", DomainState.RUNNING)
    model.apply(Batch(added=(domain(2), host, domain(1))))
    assert names(model) == ["dom0", "vm001", "vm002"]


def test_a_changed_row_is_announced_alone(model: DomainTableModel, qtbot: QtBot) -> None:
    model.apply(Batch(added=tuple(domain(n) for n in range(10))))
    seen = []
    model.dataChanged.connect(lambda first, last, *_: seen.append((first.row(), last.row())))
    model.apply(Batch(changed=tuple(domain(n, state=DomainState.RUNNING) for n in (3, 4, 7))))
    assert seen == [(3, 4), (7, 7)]


def test_a_new_name_moves_the_row_and_persistent_indexes_follow(model: DomainTableModel) -> None:
    model.apply(Batch(added=tuple(domain(n) for n in range(5))))
    kept = QPersistentModelIndex(model.index(0, COLUMN_INDEX["name"]))
    model.apply(Batch(changed=(domain(0, name="zz"),)))
    assert names(model) == ["vm001", "vm002", "vm003", "vm004", "zz"]
    assert (kept.row(), kept.data()) == (4, "zz")


def test_filters_and_search_choose_rows(model: DomainTableModel) -> None:
    template = DomainConfig(klass=DomainClass.TEMPLATE, tags=frozenset({"Base"}))
    labelled = DomainConfig(label=LABELS["red"])
    model.apply(
        Batch(
            added=(
                domain(1, state=DomainState.RUNNING),
                domain(2, config=template),
                domain(3, config=labelled, name="bank"),
            )
        )
    )
    for filter_id, expected in (
        ("all", ["bank", "vm001", "vm002"]),
        ("running", ["vm001"]),
        ("halted", ["bank", "vm002"]),
        ("templates", ["vm002"]),
        ("standalone", ["bank", "vm001"]),
        ("user", ["bank", "vm001"]),
    ):
        model.set_filter(TableFilter.of(filter_id, ""))
        assert names(model) == expected, filter_id
    model.set_filter(TableFilter.of("all", "RED ban"))
    assert names(model) == ["bank"]
    model.set_filter(TableFilter.of("all", "base"))
    assert names(model) == ["vm002"]
    model.apply(Batch(changed=(domain(2),)))
    assert names(model) == []
    assert set(FILTERS) == {"all", "running", "saved", "halted", "templates", "standalone", "user"}


def test_disposables_that_only_wait_are_no_rows_unless_they_are_wanted(model: DomainTableModel) -> None:
    config = DomainConfig(
        klass=DomainClass.DISPOSABLE, disposal=Disposal.PRELOADED, features=((INTERNAL, "1"),), template="base"
    )
    ready = domain(1, name="disp1", state=DomainState.PAUSED, persistent=False, config=config)
    # Nobody knows yet what it is going to be; what has another name is somebody's.
    unread = domain(2, name="disp2", state=DomainState.RUNNING, persistent=False, config=UNREAD)
    model.apply(Batch(added=(ready, unread, replace(unread, key=domain(3).key, name="guest"), domain(4))))
    assert (names(model), model.waiting) == (["guest", "vm004"], 2)
    model.set_filter(TableFilter.of("all", "", shows_waiting=True))
    assert names(model) == ["disp1", "disp2", "guest", "vm004"]
    assert model.index(0, COLUMN_INDEX["state"]).data() == "Paused: waits for its use"
    model.set_filter(TableFilter.of("all", ""))
    in_use = replace(ready, config=replace(config, disposal=Disposal.HELD, features=()))
    model.apply(Batch(changed=(in_use,), removed=(unread.key,)))
    assert (names(model), model.waiting) == (["disp1", "guest", "vm004"], 0)


def test_figures_sort_as_numbers(model: DomainTableModel) -> None:
    usages = {1: Usage((9.0,), 900), 2: Usage((10.0,), 20_000), 3: Usage((), 0)}
    model.apply(Batch(added=tuple(domain(n, usage=usage) for n, usage in usages.items())))
    for column in ("cpu", "memory"):
        model.sort(COLUMN_INDEX[column], Qt.SortOrder.DescendingOrder)
        assert names(model) == ["vm002", "vm001", "vm003"], column


def test_renaming_in_place_asks_and_changes_nothing(model: DomainTableModel, qtbot: QtBot) -> None:
    model.apply(Batch(added=(domain(1), domain(2, state=DomainState.RUNNING))))
    index = model.index(0, COLUMN_INDEX["name"])
    assert index.flags() & Qt.ItemFlag.ItemIsEditable
    assert not model.index(1, COLUMN_INDEX["name"]).flags() & Qt.ItemFlag.ItemIsEditable
    with qtbot.waitSignal(model.rename_requested) as asked:
        assert not model.setData(index, "other")
    assert asked.args == [domain(1).key, "other"]
    assert names(model) == ["vm001", "vm002"]


def test_a_disposable_stands_under_its_title_which_is_what_is_edited(model: DomainTableModel, qtbot: QtBot) -> None:
    config = DomainConfig(klass=DomainClass.DISPOSABLE, disposal=Disposal.KEPT, title="Letter")
    titled = domain(1, name="disp1", state=DomainState.RUNNING, persistent=False, config=config)
    model.apply(Batch(added=(titled, domain(2, config=DomainConfig(title="of another program")), domain(0, name="a"))))
    assert names(model) == ["a", "Letter (disp1)", "vm002"]
    index = model.index(1, COLUMN_INDEX["name"])
    assert index.data(Qt.ItemDataRole.EditRole) == "Letter"
    assert model.flags(index) & Qt.ItemFlag.ItemIsEditable
    with qtbot.assertNotEmitted(model.rename_requested):
        model.setData(index, "Letter")
    with qtbot.waitSignal(model.rename_requested) as asked:
        model.setData(index, "Bank")
    assert asked.args == [titled.key, "Bank"]
    model.set_filter(TableFilter.of("all", "letter"))
    assert names(model) == ["Letter (disp1)"]


def test_every_cell_says_something_to_a_screen_reader(model: DomainTableModel) -> None:
    model.apply(Batch(added=(domain(1),)))
    for column in range(len(COLUMNS)):
        assert model.index(0, column).data(Qt.ItemDataRole.AccessibleTextRole)


Script = list[tuple[str, int, DomainState, str]]

steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "sort", "filter"]),
        st.integers(0, 30),
        st.sampled_from(list(DomainState)),
        st.sampled_from(["", "vm00", "vm01", "run"]),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_batches_gives_the_rows_that_a_plain_sort_gives(qapp: QApplication, script: Script) -> None:
    model = DomainTableModel()
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    selection = QItemSelectionModel(model)
    known: dict[DomainKey, Domain] = {}
    wanted, column, descending = TableFilter(), COLUMN_INDEX["name"], False
    for action, number, state, text in script:
        snapshot = domain(number, state=state)
        match action:
            case "put" if snapshot.key in known:
                known[snapshot.key] = snapshot
                model.apply(Batch(changed=(snapshot,)))
            case "put":
                known[snapshot.key] = snapshot
                model.apply(Batch(added=(snapshot,)))
            case "remove" if snapshot.key in known:
                del known[snapshot.key]
                model.apply(Batch(removed=(snapshot.key,)))
            case "sort":
                column, descending = number % len(COLUMNS), bool(number % 2)
                model.sort(column, Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder)
            case "filter":
                wanted = TableFilter.of("running" if number % 3 == 0 else "all", text)
                model.set_filter(wanted)
        if model.rowCount():
            selection.select(model.index(0, 0), QItemSelectionModel.SelectionFlag.Select)
        shown = [
            d
            for d in known.values()
            if wanted.named.accepts(d) and all(w in f"{d.name} {d.state.value}".casefold() for w in wanted.words)
        ]
        shown.sort(key=COLUMNS[column].sort_key, reverse=descending)
        assert names(model) == [d.name for d in shown]
    del tester


def test_a_tool_tip_says_what_the_cell_says_and_no_guest_draws_there(model: DomainTableModel) -> None:
    address = "<img src='/etc/hostname'>10.0.2.15"
    model.apply(Batch(added=(domain(1, usage=Usage(addresses=(address,))),)))
    assert tip_says(model.index(0, COLUMN_INDEX["ip"]).data(Qt.ItemDataRole.ToolTipRole)) == address
    assert model.index(0, COLUMN_INDEX["template"]).data(Qt.ItemDataRole.ToolTipRole) is None
    model.apply(Batch(changed=(domain(1, stale=True),)))
    assert "test:///x is not connected" in model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)


def test_what_was_known_last_of_a_host_that_is_gone_is_grey(model: DomainTableModel) -> None:
    model.apply(Batch(added=(domain(1), domain(2, stale=True))))
    grey = QApplication.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
    assert [model.index(row, 0).data(Qt.ItemDataRole.ForegroundRole) for row in range(2)] == [None, grey]
