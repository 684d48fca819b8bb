"""Bars of what others have begun."""

from dataclasses import replace

import pytest
import qasync
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.crossing.broker_messages import CancelTransfer, Request, TransferPhase, TransferStatus
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.ui.feedback import transfer_bars
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.transfer_bars import TransferBars
from qubes_manager.ui.feedback.transfer_watch import TransferWatch
from tests.ui.conftest import run
from tests.waiting import until

COPY = TransferStatus(
    3, "work", "vault", "u", "v", "qubes.Filecopy", "a<b>.txt", TransferPhase.MOVING, "", 5 << 20, 10 << 20, 1 << 20
)
BAR = "work → vault: a<b>.txt, 5.0 MiB of 10.0 MiB, 1.0 MiB/s, 5 s left…"


class World:
    def __init__(self, parent: QWidget, loop: qasync.QEventLoop) -> None:
        links = BrokerLinks()
        self.bar = MessageBar()
        self.own: set[tuple[str, int]] = set()
        self.shown_all = 0
        watch = TransferWatch(links, parent)
        self.link = links.link("test:///x")
        self.bars = TransferBars(
            self.bar, watch, lambda uri, number: (uri, number) in self.own, loop.create_task, self._show_all
        )

    def tell(self, status: TransferStatus) -> None:
        self.link._on_line(status.to_json().encode())

    def press(self, text: str) -> None:
        next(b for b in self.bar.findChildren(QPushButton) if b.text() == text).click()

    def _show_all(self) -> None:
        self.shown_all += 1


@pytest.fixture
def world(parent: QWidget, qtbot: QtBot, loop: qasync.QEventLoop, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(transfer_bars, "_DELAY_MS", 0)
    world = World(parent, loop)
    qtbot.addWidget(world.bar)
    return world


def test_what_a_guest_begins_has_a_bar_until_it_ends_and_its_end_is_said(world: World, loop: qasync.QEventLoop) -> None:
    world.tell(replace(COPY, phase=TransferPhase.ASKING, moved=0))
    world.tell(COPY)
    run(loop, until(lambda: world.bar.texts == [BAR]))
    world.tell(replace(COPY, moved=9 << 20))
    assert world.bar.texts == [BAR.replace("5.0 MiB of", "9.0 MiB of").replace("5 s", "1 s")]
    world.tell(replace(COPY, phase=TransferPhase.FAILED, message="the disk of “vault” is full: nothing was kept"))
    assert world.bar.texts == ["work → vault: a<b>.txt, failed: the disk of “vault” is full: nothing was kept"]
    world.tell(replace(COPY, transfer=4))
    run(loop, until(lambda: len(world.bar.texts) == 2))
    world.link.transfers.clear()
    world.link.lost.emit()
    assert len(world.bar.texts) == 1


def test_it_is_stopped_there_and_nothing_is_said_that_the_user_knows(
    world: World, loop: qasync.QEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    async def do(_link: BrokerLink, request: Request) -> None:
        asked.append(request)

    monkeypatch.setattr(BrokerLink, "do", do)
    world.tell(COPY)
    run(loop, until(lambda: world.bar.texts == [BAR]))
    world.press("Cancel")
    run(loop, until(lambda: asked == [CancelTransfer(3)]))
    world.tell(replace(COPY, phase=TransferPhase.FAILED, message="you stopped it"))
    assert world.bar.texts == []


def test_what_has_a_bar_already_is_asked_about_or_only_stays_open_gets_none(
    world: World, loop: qasync.QEventLoop
) -> None:
    world.own.add(("test:///x", 3))
    shell = replace(COPY, transfer=5, service="qubes.VMShell", total=0)
    for status in (COPY, replace(COPY, transfer=4, phase=TransferPhase.ASKING), shell, replace(COPY, transfer=6)):
        world.tell(status)
    # The last one: by then all have been looked at.
    run(loop, until(lambda: world.bar.texts == [BAR]))
    # What is opened elsewhere has gone out, and stays open.
    opened = replace(COPY, transfer=7, service="qubes.OpenInVM", phase=TransferPhase.STARTING, message="it starts")
    world.tell(replace(COPY, transfer=6, phase=TransferPhase.DONE))
    world.tell(opened)
    run(loop, until(lambda: "work → vault: a<b>.txt, it starts…" in world.bar.texts))
    world.tell(replace(opened, phase=TransferPhase.MOVING, message="", moved=11 << 20))
    assert world.bar.texts == ["work → vault: a<b>.txt, done"]


def test_a_guest_that_begins_many_does_not_push_the_table_away(world: World, loop: qasync.QEventLoop) -> None:
    for number in range(8):
        world.tell(replace(COPY, transfer=number))
    run(loop, until(lambda: world.bar.texts == [BAR, BAR, "6 more cross now"]))
    world.press("Show all")
    assert world.shown_all == 1
    for number in range(7):
        world.tell(replace(COPY, transfer=number, phase=TransferPhase.DONE))
    assert world.bar.texts == [BAR, "work → vault: a<b>.txt, done"]


def test_no_guest_takes_the_bars_of_others(world: World, loop: qasync.QEventLoop) -> None:
    for number in range(4):
        world.tell(replace(COPY, transfer=number, source="evil", source_uuid="e"))
    evil = BAR.replace("work", "evil")
    run(loop, until(lambda: world.bar.texts == [evil, evil, "2 more cross now"]))
    world.tell(replace(COPY, transfer=9))
    run(loop, until(lambda: BAR in world.bar.texts))
    assert sorted(world.bar.texts) == ["3 more cross now", evil, BAR]
    world.tell(replace(COPY, transfer=9, phase=TransferPhase.DONE))
    assert world.bar.texts.count(evil) == 2
