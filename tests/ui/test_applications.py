"""The panel of applications, its dialogs, and what stands in them."""

import json
from dataclasses import replace

import pytest
import qasync
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.labels import LABELS
from qubes_manager.models.applications_model import ApplicationsModel
from qubes_manager.services.assembly import Services
from qubes_manager.services.hosts.store import Batch
from qubes_manager.ui.applications.applications_panel import ApplicationsPanel
from qubes_manager.ui.dialogs.app_shortcuts_dialog import AppShortcutsDialog
from qubes_manager.ui.dialogs.gui_options_dialog import GuiOptionsDialog
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from qubes_manager.ui.look.icons import application_icon
from tests.ui.conftest import run

APPS = (
    Application("editor", "Editor", "writes", icon=b"\x10\x20\x30\xff" * 48 * 48),
    Application("firefox", "Firefox"),
    Application("xterm", "XTerm"),
)


def domain(name: str, **config: object) -> Domain:
    fields = {"label": LABELS["blue"], "klass": DomainClass.STANDALONE, "gui_port": True, **config}
    return Domain(DomainKey("x", name), name, DomainState.RUNNING, config=DomainConfig(**fields))


class Panel:
    """A model over a store and lists, without any libvirt."""

    def __init__(self, loop: qasync.QEventLoop) -> None:
        self.loop = loop
        services = Services.connecting(watch=False)
        self.store, self.lists = services.store, services.lists
        self.model = ApplicationsModel(self.store, self.lists, application_icon)
        self.tester = QAbstractItemModelTester(self.model, QAbstractItemModelTester.FailureReportingMode.Fatal)
        self.widget = ApplicationsPanel(self.model, lambda _domain: [])

    def show(self, *domains: Domain) -> None:
        async def put() -> None:
            self.store.put(domains)
            for entry in domains:
                self.lists._lists[entry.key.uuid] = APPS
            self.store.flush()

        run(self.loop, put())
        self.model.rebuild()

    def texts(self) -> dict[str, list[str]]:
        model = self.model
        tops = [model.index(row, 0) for row in range(model.rowCount())]
        return {top.data(): [model.index(r, 0, top).data() for r in range(model.rowCount(top))] for top in tops}


@pytest.fixture
def panel(qtbot, loop) -> Panel:
    panel = Panel(loop)
    qtbot.addWidget(panel.widget)
    return panel


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


def test_searching_finds_applications_and_domains_and_return_starts_the_first(panel: Panel, qtbot) -> None:
    panel.show(domain("work"), domain("bank"))
    started = []
    panel.widget.launch.connect(started.append)
    qtbot.keyClicks(panel.widget.search, "work fire")
    assert panel.texts() == {"work": ["Firefox"]}
    qtbot.keyClick(panel.widget.search, Qt.Key.Key_Return)
    assert [(entry.domain.name, entry.application.id) for entry in started] == [("work", "firefox")]
    qtbot.keyClicks(panel.widget.search, "nothing at all")
    assert panel.texts() == {}
    assert "fits" in panel.widget._hint.text()


def test_figures_that_change_do_not_rebuild_the_tree(panel: Panel, qtbot) -> None:
    work = domain("work")
    panel.show(work)
    resets = []
    panel.model.modelReset.connect(lambda: resets.append(1))
    panel.model._look(Batch(changed=(replace(work, id=9),)))
    qtbot.wait(200)
    assert resets == []
    # A hundred batches of news are one new tree.
    for number in range(100):
        panel.model._look(Batch(changed=(replace(work, name=f"play{number}"),)))
    qtbot.waitUntil(lambda: resets == [1])


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
    started = []
    panel.widget.launch.connect(started.append)
    panel.widget.tree.activated.emit(panel.model.index(0, 0))
    panel.widget.tree.activated.emit(QModelIndex())
    assert started == []


def test_shortcuts_are_chosen_in_two_lists(qtbot) -> None:
    dialog = AppShortcutsDialog(None, domain("work", menu=("xterm",)), APPS)
    qtbot.addWidget(dialog)
    assert not dialog.all.isChecked()
    assert dialog.chosen() == ["xterm"]
    qtbot.keyClicks(dialog.search, "edit")
    dialog._buttons[1].click()
    assert dialog.chosen() == ["editor", "xterm"]
    dialog.selected.setCurrentRow(1)
    dialog._buttons[2].click()
    assert dialog.chosen() == ["editor"]
    # A list that was read anew keeps what was chosen.
    dialog.show_applications([*APPS, Application("new", "New")])
    assert dialog.chosen() == ["editor"]
    dialog.all.setChecked(True)
    assert dialog.chosen() is None
    assert not dialog.available.isEnabled()


def test_all_are_in_the_menu_where_nothing_was_chosen(qtbot) -> None:
    dialog = AppShortcutsDialog(None, domain("work"), APPS)
    qtbot.addWidget(dialog)
    assert dialog.all.isChecked()
    assert dialog.chosen() is None
    dialog.all.setChecked(False)
    assert dialog.chosen() == ["editor", "firefox", "xterm"]


def test_window_options_give_what_differs(qtbot) -> None:
    options = GuiOptions({"allow_fullscreen": True}, {"work": {"allow_fullscreen": False}})
    dialog = GuiOptionsDialog(None, options)
    qtbot.addWidget(dialog)
    assert dialog.values() == {}
    dialog._fields["allow_fullscreen"].setChecked(False)
    dialog._fields["border_width"].setValue(10)
    assert dialog.values() == {"allow_fullscreen": None, "border_width": 10}
    assert all(field.accessibleName() for field in dialog._fields.values())


def test_a_domain_s_settings_have_its_full_screen(qtbot) -> None:
    options = GuiOptions(domains={"work": {"allow_fullscreen": True}})
    dialog = SettingsDialog(None, domain("work"), options=options)
    qtbot.addWidget(dialog)
    assert dialog.fullscreen.currentData() is True
    other = SettingsDialog(None, domain("other"), options=options)
    qtbot.addWidget(other)
    assert other.fullscreen.currentData() is None
    assert "refused" in other.fullscreen.currentText()
    assert json.dumps(other.fullscreen.itemData(2)) == "false"
