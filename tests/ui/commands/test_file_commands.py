"""Copying files from the window: what is asked, what is said, and what is dropped where."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast
from uuid import uuid4

import pytest
import qasync
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus, parse_request
from qubes_manager.core.crossing.copying import Arrived
from qubes_manager.core.crossing.file_requests import AwaitCopy, CopyBegun, CopyFiles, CopyReport, FilesArrived
from qubes_manager.core.crossing.listing import Entry, FileKind, Listing
from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey, DomainState
from qubes_manager.core.errors import Cancelled, Refused
from qubes_manager.core.service_messages import Done
from qubes_manager.core.signal import Signal
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.crossing.file_copies import Copy, FileCopies
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.ui.commands.file_commands import FileCommands
from qubes_manager.ui.dialogs.files_dialog import FilesDialog
from qubes_manager.ui.dialogs.open_files_dialog import ConvertFilesDialog, OpenFilesDialog
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.look.dragged_files import DraggedFiles, of_mime, to_mime
from qubes_manager.ui.table.domain_view import DomainView
from tests.ui.conftest import domain, press, run, shown_box
from tests.waiting import until

WORK, VAULT = domain("work"), domain("vault")
HOST = Domain(DomainKey("x", HOST_UUID), "dom0", DomainState.RUNNING)
HALFWAY = TransferStatus(1, "dom0", "work", "", "u", "s", "a", TransferPhase.MOVING, "", 5 << 20, 10 << 20, 1 << 20)


class Copies:
    """Stands for the broker: has a copy go half the way, and ends it when it is told to."""

    def __init__(self) -> None:
        self.copied: list[Copy] = []
        self.opened: list[tuple[object, ...]] = []
        self.arrived = Signal[FilesArrived]()
        self.report: CopyReport | None = None

    async def listing(self, _key: DomainKey, _path: str) -> Listing:
        return Listing("/home/user", 5, (Entry("a", FileKind.FILE),), False)

    async def open(self, uri: str, paths: Sequence[str], **more: object) -> CopyReport:
        self.opened.append((uri, tuple(paths), more["view_only"], more["template"], more["source"]))
        return CopyReport("", 1, 3)

    async def convert(self, uri: str, paths: Sequence[str], **_more: object) -> CopyReport:
        self.opened.append((uri, tuple(paths)))
        return CopyReport("", 1, 3, False, ("“a.trusted.pdf” is clean; “a.pdf” is as it was",))

    async def copy(
        self, copy: Copy, *, on_status: Callable[[TransferStatus], object], is_stopped: Callable[[], bool]
    ) -> CopyReport:
        self.copied.append(copy)
        on_status(HALFWAY)
        while self.report is None:
            await asyncio.sleep(0.01)
            if is_stopped():
                raise Cancelled()
        return self.report


class Scene:
    def __init__(self, parent: QWidget, loop: qasync.QEventLoop) -> None:
        self.copies = Copies()
        self.messages = MessageBar()
        self.store = DomainStore()
        self.commands = FileCommands(
            parent,
            self.store,
            cast(FileCopies, self.copies),
            self.messages,
            Jobs(self.messages),
            Confirmation(parent, set()),
            loop.create_task,
        )


@pytest.fixture
def scene(parent: QWidget, qtbot: QtBot, loop: qasync.QEventLoop) -> Scene:
    scene = Scene(parent, loop)
    qtbot.addWidget(scene.messages)
    return scene


def test_how_far_it_is_is_shown_and_what_became_of_it_said(scene: Scene, loop: qasync.QEventLoop) -> None:
    copying = loop.create_task(scene.commands.copy(Copy("x", None, WORK.key, ["/home/you/a<b>.txt", "/c"]), "work"))
    bar = "Copying a<b>.txt and 1 more to “work”: 5.0 MiB of 10.0 MiB, 1.0 MiB/s, 5 s left…"
    run(loop, until(lambda: scene.messages.texts == [bar]))
    scene.copies.report = CopyReport("~/QubesIncoming/dom0", 2, 10 << 20)
    run(loop, copying)
    assert scene.messages.texts == ["a<b>.txt and 1 more (10.0 MiB): in ~/QubesIncoming/dom0 of “work”"]


def test_digests_of_what_came_here_and_what_stayed_behind_are_in_the_details(
    scene: Scene, loop: qasync.QEventLoop
) -> None:
    scene.copies.report = CopyReport(
        "/home/you/QubesIncoming/work", 1, 3, True, ("“x”: Permission denied",), (Arrived("a\nb", 3, "0f" * 32),)
    )
    run(loop, scene.commands.copy(Copy("x", WORK.key, None, ["/a"]), "dom0"))
    [text] = scene.messages.texts
    assert text.endswith("“x”: Permission denied")
    details = " ".join(box.toPlainText() for box in _details(scene))
    assert f"{'0f' * 32}             3  a\\nb" in details


def _details(scene: Scene) -> list[QPlainTextEdit]:

    return list(scene.messages.findChildren(QPlainTextEdit))


def test_what_a_domain_sends_here_is_said_with_its_digests(scene: Scene) -> None:
    scene.copies.arrived.emit(FilesArrived("work", "/home/you/x", 1, 3, (Arrived("a", 3, "0f" * 32),)))
    assert scene.messages.texts == ["“work” has sent 1 file (3 B) to this machine, into /home/you/x"]
    assert "0f" * 32 in _details(scene)[0].toPlainText()


def test_while_files_are_listed_the_window_can_be_used_to_drop_them(
    scene: Scene, loop: qasync.QEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.copies.report = CopyReport("~", 1, 3)
    fetching = loop.create_task(scene.commands.fetch(WORK))

    def dialogs() -> list[FilesDialog]:
        return [w for w in QApplication.topLevelWidgets() if isinstance(w, FilesDialog) and w.isVisible()]

    run(loop, until(lambda: dialogs() and dialogs()[0].tree.topLevelItemCount()))
    [dialog] = dialogs()
    assert not dialog.isModal()
    item = dialog.tree.topLevelItem(0)
    assert item
    item.setSelected(True)
    dialog.target.setCurrentIndex(0)
    dialog.ok.click()
    run(loop, fetching)
    [copy] = scene.copies.copied
    assert (copy.source, copy.target, copy.paths) == (WORK.key, None, ["/home/user/a"])


def test_a_domain_s_files_are_viewed_in_a_disposable_that_is_chosen_in_their_list(
    scene: Scene, loop: qasync.QEventLoop
) -> None:
    base = domain("base", template_for_dispvms=True)

    async def choose() -> None:
        scene.store.put([WORK, base])
        scene.store.flush()
        fetching = asyncio.ensure_future(scene.commands.fetch(WORK))

        def dialogs() -> list[FilesDialog]:
            return [w for w in QApplication.topLevelWidgets() if isinstance(w, FilesDialog) and w.isVisible()]

        await until(lambda: dialogs() and dialogs()[0].tree.topLevelItemCount())
        [dialog] = dialogs()
        item = dialog.tree.topLevelItem(0)
        assert item
        item.setSelected(True)
        dialog.target.setCurrentIndex(dialog.target.count() - 1)
        dialog.ok.click()
        await fetching

    run(loop, choose())
    assert scene.copies.opened == [("x", ("/home/user/a",), True, base.key, WORK.key)]


def test_a_copy_can_be_stopped_from_its_bar(scene: Scene, loop: qasync.QEventLoop) -> None:
    copying = loop.create_task(scene.commands.copy(Copy("x", None, WORK.key, ["/a"]), "work"))
    run(loop, until(lambda: scene.messages.texts))
    next(b for b in scene.messages.findChildren(QPushButton) if b.text() == "Cancel").click()
    with pytest.raises(Cancelled):
        run(loop, copying)


@pytest.mark.parametrize(("source", "target"), [(None, WORK), (VAULT.key, WORK), (WORK.key, HOST)])
def test_what_is_dropped_is_copied_after_a_question(
    scene: Scene, loop: qasync.QEventLoop, source: DomainKey | None, target: Domain
) -> None:
    scene.copies.report = CopyReport("~", 1, 3)
    dropping = loop.create_task(scene.commands.drop(DraggedFiles(source, ("/home/a", "/b")), target))
    box = run(loop, shown_box())
    assert box.text() == f"Copy files to “{target.name}”?"
    assert "a, b." in box.informativeText()
    assert scene.copies.copied == []
    press(box, "Copy files to")
    run(loop, dropping)
    [copy] = scene.copies.copied
    assert (copy.source, copy.target, copy.move) == (source, None if target.is_host else target.key, False)
    assert list(copy.paths) == ["/home/a", "/b"]


@pytest.mark.parametrize(("source", "target"), [(None, HOST), (WORK.key, WORK), (DomainKey("y", "z"), WORK)])
def test_what_is_there_already_or_elsewhere_altogether_is_refused(
    scene: Scene, loop: qasync.QEventLoop, source: DomainKey | None, target: Domain
) -> None:
    with pytest.raises(Refused):
        run(loop, scene.commands.drop(DraggedFiles(source, ("/a",)), target))


@pytest.fixture
def view(qtbot: QtBot) -> DomainView:
    model = DomainTableModel()
    view = DomainView(model)
    qtbot.addWidget(view)
    view.resize(600, 300)
    model.apply(Batch(added=(WORK, HOST)))
    view.show()
    return view


def dropped(view: DomainView, data: QMimeData, row: int) -> list[tuple[DraggedFiles, Domain]]:
    heard: list[tuple[DraggedFiles, Domain]] = []
    view.files_dropped.connect(lambda dragged, target: heard.append((dragged, target)))
    place = QPointF(view.visualRect(view.model().index(row, 0)).center()) if row >= 0 else QPointF(300, 280)
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    view.dropEvent(QDropEvent(place, Qt.DropAction.CopyAction, data, buttons, keys))
    return heard


def test_files_are_dropped_on_the_row_below_the_mouse(view: DomainView) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/home/you/a b"), QUrl("https://example.org/c")])
    model = view.model()
    assert isinstance(model, DomainTableModel)
    row = model.row_of(WORK.key)
    assert row is not None
    assert dropped(view, data, row) == [(DraggedFiles(None, ("/home/you/a b",)), WORK)]
    assert dropped(view, data, -1) == []
    data = to_mime(DomainKey("x", "vault"), ["/home/user/a"])
    assert dropped(view, data, row) == [(DraggedFiles(DomainKey("x", "vault"), ("/home/user/a",)), WORK)]


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"connection": 1, "uuid": 2, "paths": ["relative", 7]}', b'{"paths": 7}']
)
def test_what_another_program_calls_our_files_is_read_with_care(text: bytes) -> None:
    data = QMimeData()
    data.setData("application/x-qubes-manager-files", text)
    assert of_mime(data) is None
    assert of_mime(QMimeData()) is None


def test_what_is_dropped_on_a_disposable_is_opened_in_a_new_one_of_its_connection(
    scene: Scene, loop: qasync.QEventLoop
) -> None:
    base = DomainKey("x", "base")
    for source in (None, WORK.key):
        run(loop, scene.commands.open_dropped(DraggedFiles(source, ("/a",)), base, view_only=True))
    assert scene.copies.opened == [("x", ("/a",), True, base, source) for source in (None, WORK.key)]
    with pytest.raises(Refused, match="two connections"):
        run(loop, scene.commands.open_dropped(DraggedFiles(DomainKey("y", "1"), ("/a",)), base, view_only=True))


def test_a_copy_is_waited_for_in_the_window_s_own_loop(loop: qasync.QEventLoop) -> None:
    """Its timers are Qt's, which do not go as far as asyncio's own."""
    report = CopyReport("~/QubesIncoming/work", 1, 5)
    source, target = (DomainKey("x", str(uuid4())) for _ in range(2))
    answers = {CopyFiles: CopyBegun(7), AwaitCopy: report}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answer = answers.get(type(parse_request(line)), Done())
            writer.write(answer.to_json().encode() + b"\n")
        writer.close()

    async def copy() -> CopyReport:
        async with await asyncio.start_unix_server(serve, socket_path("x")):
            return await FileCopies(BrokerLinks()).copy(Copy("x", source, target, ["/a"]))

    assert run(loop, copy()) == report


def test_files_and_folders_that_are_gathered_are_opened_in_one_disposable(
    scene: Scene, parent: QWidget, loop: qasync.QEventLoop
) -> None:
    async def choose() -> None:
        opening = asyncio.ensure_future(scene.commands.open("x", domain("base"), view_only=False))
        await until(lambda: parent.findChildren(OpenFilesDialog))
        (dialog,) = parent.findChildren(OpenFilesDialog)
        dialog.add(["/home/you/a.txt", "/home/you/letters"])
        dialog.ok.click()
        await opening

    run(loop, choose())
    assert scene.copies.opened == [("x", ("/home/you/a.txt", "/home/you/letters"), False, DomainKey("x", "base"), None)]


def test_clean_copies_are_made_of_what_is_gathered_and_what_came_of_it_is_said(
    scene: Scene, parent: QWidget, loop: qasync.QEventLoop
) -> None:
    async def choose() -> None:
        converting = asyncio.ensure_future(scene.commands.convert("x", domain("base")))
        await until(lambda: parent.findChildren(ConvertFilesDialog))
        (dialog,) = parent.findChildren(ConvertFilesDialog)
        dialog.add(["/home/you/a.pdf"])
        dialog.ok.click()
        await converting

    run(loop, choose())
    assert scene.copies.opened == [("x", ("/home/you/a.pdf",))]
    assert scene.messages.texts == ["“a.trusted.pdf” is clean; “a.pdf” is as it was"]
