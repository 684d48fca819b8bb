"""The panel of applications, and what stands in it."""

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QTest

from qubes_manager.core.applications import Application
from qubes_manager.models.applications_model import Entry
from tests.ui.applications.conftest import Panel
from tests.ui.conftest import domain, tip_says


def test_applications_stand_below_their_domain_favourites_first(panel: Panel) -> None:
    assert panel.widget._pages.currentWidget() is not panel.widget.tree
    panel.show(domain("work", menu=("firefox", "xterm"), favourites=("xterm", "editor")), domain("Bank"))
    assert panel.texts() == {
        "Favourites": ["XTerm (work)"],
        "Bank": ["Editor", "Firefox", "XTerm"],
        "work": ["Firefox", "XTerm"],
    }
    bank = panel.model.index(1, 0)
    first = panel.model.index(0, 0, bank)
    assert first.data(Qt.ItemDataRole.AccessibleTextRole) == "Editor in Bank"
    assert "blue" in bank.data(Qt.ItemDataRole.ToolTipRole)
    picture = first.data(Qt.ItemDataRole.DecorationRole).pixmap(48, 48).toImage()
    assert picture.pixelColor(20, 20).getRgb() == (0x10, 0x20, 0x30, 255)
    assert panel.widget.tree.isExpanded(bank)


def test_searching_finds_applications_and_domains_and_return_starts_the_first(panel: Panel) -> None:
    panel.show(domain("work"), domain("bank"))
    started: list[Entry] = []
    panel.widget.launch.connect(started.append)
    QTest.keyClicks(panel.widget.search, "work fire")
    assert panel.texts() == {"work": ["Firefox"]}
    QTest.keyClick(panel.widget.search, Qt.Key.Key_Return)
    assert [(entry.domain.name, entry.application.id) for entry in started] == [("work", "firefox")]
    QTest.keyClicks(panel.widget.search, "nothing at all")
    assert panel.texts() == {}
    assert "fits" in panel.widget._hint.text()


def test_a_group_that_was_closed_stays_closed(panel: Panel) -> None:
    panel.show(domain("work"), domain("bank"))
    panel.widget.tree.collapse(panel.model.index(0, 0))
    panel.show(domain("third"))
    expanded = {
        group.title: panel.widget.tree.isExpanded(panel.model.index(n, 0)) for n, group in enumerate(panel.model.groups)
    }
    assert expanded == {"bank": False, "third": True, "work": True}


def test_a_click_on_a_group_starts_nothing(panel: Panel) -> None:
    panel.show(domain("work"))
    started: list[Entry] = []
    panel.widget.launch.connect(started.append)
    panel.widget.tree.activated.emit(panel.model.index(0, 0))
    panel.widget.tree.activated.emit(QModelIndex())
    assert started == []


def test_a_guest_s_application_describes_itself_without_markup(panel: Panel) -> None:
    panel.show(domain("work"))
    panel.lists._lists["work"] = (Application("x", "X", "<b>[vault]</b> writes"),)
    panel.model.rebuild()
    tip = panel.model.index(0, 0, panel.model.index(0, 0)).data(Qt.ItemDataRole.ToolTipRole)
    assert tip_says(tip) == "<b>[vault]</b> writes — in work"
