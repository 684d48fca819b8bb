"""The panel of applications, and what stands in it."""

from dataclasses import replace

from PySide6.QtCore import QMimeData, QModelIndex, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from qubes_manager.core.applications import Application, ApplicationList
from qubes_manager.core.domain import DomainKey
from qubes_manager.models.applications_model import Entry
from qubes_manager.ui.look.dragged_files import DraggedFiles, to_mime
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
    panel.lists._lists["work"] = ApplicationList((Application("x", "X", "<b>[vault]</b> writes"),), 3)
    panel.model.rebuild()
    tip = panel.model.index(0, 0, panel.model.index(0, 0)).data(Qt.ItemDataRole.ToolTipRole)
    assert tip_says(tip) == "<b>[vault]</b> writes — in work"
    tip = panel.model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "; 3 more are left out: only 1,000 are shown" in tip


def test_where_windows_cannot_be_shown_none_are_promised(panel: Panel) -> None:
    panel.widget.tell_trouble("bubblewrap is not installed")
    assert "cannot be shown here" in panel.widget._hint.text()
    assert "bubblewrap is not installed" in panel.widget._hint.text()
    QTest.keyClicks(panel.widget.search, "nothing at all")
    panel.widget.search.clear()
    assert "cannot be shown here" in panel.widget._hint.text()


def _drop(panel: Panel, data: QMimeData, group: int) -> list[str]:
    """Drop on the first application of a group; returns what is asked."""
    tree = panel.widget.tree
    tree.expandAll()
    place = QPointF(tree.visualRect(panel.model.index(0, 0, panel.model.index(group, 0))).center())
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    tree.dropEvent(QDropEvent(place, Qt.DropAction.CopyAction, data, left, none))
    menus = panel.widget.findChildren(QMenu)
    return [action.text() for action in menus[-1].actions() if action.text()] if menus else []


def test_files_dropped_on_a_disposable_are_viewed_or_edited_in_a_new_one(panel: Panel) -> None:
    work = domain("work")
    work = replace(work, config=replace(work.config, template_for_dispvms=True))
    panel.show(work)
    panel.widget.resize(400, 600)
    panel.widget.show()
    chosen: list[tuple[object, object, bool]] = []
    panel.widget.open_files.connect(lambda *words: chosen.append(words))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/home/you/a.pdf")])
    assert _drop(panel, data, 0) == []
    where = "in a new disposable of work"
    # What is in a domain is edited by its own programs.
    theirs = to_mime(DomainKey("x", "1"), ["/home/user/a"])
    assert _drop(panel, theirs, 1) == [f"View {where}: nothing comes back", "Cancel"]
    assert _drop(panel, data, 1) == [f"View {where}: nothing comes back", f"Edit {where}: changes come back", "Cancel"]
    menu = panel.widget.findChildren(QMenu)[-1]
    for action in menu.actions()[:2]:
        action.trigger()
    dragged = DraggedFiles(None, ("/home/you/a.pdf",))
    assert chosen == [(dragged, work, True), (dragged, work, False)]
    assert "dropped here" in panel.model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
