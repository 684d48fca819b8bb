"""When the tree of applications is made anew."""

from dataclasses import replace

from pytestqt.qtbot import QtBot

from qubes_manager.services.hosts.store import Batch
from tests.ui.applications.conftest import Panel
from tests.ui.applications.conftest import panel as panel
from tests.ui.conftest import domain
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
