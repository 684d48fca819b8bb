"""When the tree of applications is made anew."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from qubes_manager.services.hosts.store import Batch
from tests.ui.applications.conftest import Panel
from tests.ui.applications.conftest import panel as panel
from tests.ui.conftest import APPS, domain
from tests.ui.conftest import loop as loop


def test_figures_that_change_do_not_rebuild_the_tree(panel: Panel, qtbot: QtBot) -> None:
    work = domain("work")
    panel.show(work)
    resets = []
    panel.model.modelReset.connect(lambda: resets.append(1))
    panel.model._on_batch(Batch(changed=(replace(work, id=9),)))
    qtbot.wait(200)
    assert resets == []
    # A hundred batches of news are one new tree.
    for number in range(100):
        panel.model._on_batch(Batch(changed=(replace(work, name=f"play{number}"),)))
    qtbot.waitUntil(lambda: resets == [1])


def test_a_template_of_disposables_has_a_group_for_them_and_one_that_waits_has_none(panel: Panel) -> None:
    base, waiting = domain("base"), domain("disp1")
    base = replace(base, config=replace(base.config, template_for_dispvms=True, favourites=(APPS[0].id,)))
    waiting = replace(waiting, config=replace(waiting.config, features=(("internal", "1"),)))
    panel.show(base, waiting)
    groups = panel.model.groups
    assert [group.title for group in groups] == ["Favourites", "base", "Disposable: base"]
    assert [groups[1].entry(0).in_disposable, groups[2].entry(0).in_disposable] == [False, True]
    assert not groups[2].entry(0).is_favourite
    index = panel.model.index(0, 0, panel.model.index(2, 0))
    assert panel.model.data(index, Qt.ItemDataRole.AccessibleTextRole) == f"{APPS[0].name} in a new disposable of base"


def test_files_can_be_dropped_on_disposables_of_which_no_application_is_known_yet(panel: Panel) -> None:
    base, work = domain("base", template_for_dispvms=True), domain("work")
    panel.show(base, work)
    del panel.lists._lists["base"]
    panel.model.rebuild()
    assert panel.texts() == {"work": [app.name for app in APPS], "Disposable: base": []}
    assert panel.model.disposables_of(panel.model.index(1, 0)) == base
    panel.model.set_search("bas")
    assert panel.texts() == {"Disposable: base": []}
    panel.widget.launch.connect(lambda entry: pytest.fail(f"{entry} was launched"))
    panel.widget._launch_first()
    panel.model.set_search("xterm")
    assert panel.texts() == {"work": ["XTerm"]}
