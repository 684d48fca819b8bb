"""What crosses now, as it is listed, and stopped."""

from dataclasses import replace

import pytest
import qasync
from PySide6.QtWidgets import QMenu, QWidget

from qubes_manager.core.crossing.broker_messages import CancelTransfer, Request, TransferPhase, TransferStatus
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.ui.applications.transfers_menu import TransfersMenu
from qubes_manager.ui.dialogs.transfers_dialog import TransfersDialog
from qubes_manager.ui.feedback.transfer_watch import TransferWatch
from tests.ui.conftest import run
from tests.waiting import until

STATUS = TransferStatus(
    3, "work", "vault", "u", "v", "qubes.Filecopy", "a<b>.txt", TransferPhase.MOVING, "", 5 << 20, 10 << 20, 1 << 20
)


class World:
    def __init__(self, parent: QWidget) -> None:
        links = BrokerLinks()
        self.watch = TransferWatch(links, parent)
        self.link = links.link("test:///x")

    def tell(self, status: TransferStatus) -> None:
        self.link._on_line(status.to_json().encode())


@pytest.fixture
def world(parent: QWidget) -> World:
    return World(parent)


def rows(dialog: TransfersDialog) -> list[list[str]]:
    return [[item.text(column) for column in range(4)] for item in dialog._items()]


def test_each_is_listed_with_how_far_it_is_until_some_time_after_its_end(
    world: World, parent: QWidget, loop: qasync.QEventLoop
) -> None:
    dialog = TransfersDialog(parent, world.watch, loop.create_task)
    assert rows(dialog) == []
    assert "Nothing crosses now" in dialog.hint.text()
    world.tell(STATUS)
    assert rows(dialog) == [["a<b>.txt", "work", "vault", "5.0 MiB of 10.0 MiB, 1.0 MiB/s, 5 s left"]]
    assert dialog.hint.text() == ""
    dialog._items()[0].setSelected(True)
    world.tell(replace(STATUS, moved=6 << 20))
    # What was chosen stays chosen.
    assert dialog.stop.isEnabled()
    world.tell(replace(STATUS, phase=TransferPhase.FAILED, message="“vault” is gone"))
    assert rows(dialog)[0][3] == "failed: “vault” is gone"
    assert not dialog.stop.isEnabled()


def test_a_broker_that_is_gone_takes_what_it_carried_with_it(world: World, parent: QWidget) -> None:
    dialog = TransfersDialog(parent, world.watch, lambda _work: None)
    world.tell(STATUS)
    world.link.transfers.clear()
    world.link.lost.emit()
    assert rows(dialog) == []


def test_one_that_is_chosen_can_be_stopped_here_and_in_the_tray(
    world: World, parent: QWidget, loop: qasync.QEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    async def do(_link: BrokerLink, request: Request) -> None:
        asked.append(request)

    monkeypatch.setattr(BrokerLink, "do", do)
    dialog = TransfersDialog(parent, world.watch, loop.create_task)
    world.tell(STATUS)
    dialog._items()[0].setSelected(True)
    dialog.stop.click()
    run(loop, until(lambda: asked == [CancelTransfer(3)]))
    menu = TransfersMenu(parent, world.watch, QMenu(parent).menuAction(), loop.create_task)
    menu.aboutToShow.emit()
    submenu = menu.actions()[0].menu()
    assert isinstance(submenu, QMenu)
    assert submenu.title() == "work → vault: a<b>.txt (5.0 MiB of 10.0 MiB, 1.0 MiB/s, 5 s left)"
    submenu.actions()[0].trigger()
    run(loop, until(lambda: asked == [CancelTransfer(3)] * 2))
