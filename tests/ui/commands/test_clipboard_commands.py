"""The clipboard's actions, and what is said of them."""

import asyncio
from dataclasses import replace

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardStatus,
    ClipboardText,
    GiveText,
    PasteClipboard,
    TakeClipboard,
    WipeClipboard,
)
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.services.crossing.clipboard import Clipboards
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.applications.clipboard_menu import ClipboardMenu
from qubes_manager.ui.commands.clipboard_commands import ClipboardCommands
from qubes_manager.ui.dialogs.paste_dialog import PasteDialog
from qubes_manager.ui.feedback.message_bar import MessageBar
from tests.broker_stand_in import SilentLinks
from tests.ui.conftest import domain, press, run, shown_box
from tests.waiting import until

WORK, VAULT, FOREIGN = domain("work", crossing_ports=True), domain("vault", crossing_ports=True), domain("foreign")
# Text does not cross to another host.
ELSEWHERE = replace(domain("elsewhere", crossing_ports=True), key=DomainKey("y", "elsewhere"))
HALTED = replace(domain("halted", crossing_ports=True), state=domain("x").state.HALTED)


class Scene:
    def __init__(self, parent: QWidget) -> None:
        self.links = SilentLinks()
        self.link = self.links.link("x")
        self.clipboards = Clipboards(self.links)
        self.links.added.emit(self.link)
        self.store = DomainStore()
        self.store.put([WORK, VAULT, FOREIGN, HALTED, ELSEWHERE])
        self.messages = MessageBar()
        self.commands = ClipboardCommands(parent, self.store, self.clipboards, self.messages)

    def holds(self, source: str) -> None:
        self.link.heard.emit(ClipboardStatus(source, "u", size=12))


@pytest.fixture
def scene(parent: QWidget, qtbot: QtBot) -> Scene:
    scene = Scene(parent)
    qtbot.addWidget(scene.messages)
    return scene


def test_what_was_done_is_said_and_wiping_takes_it_back(loop: QEventLoop, scene: Scene) -> None:
    run(loop, scene.commands.copy(WORK))
    assert scene.messages.texts == ["It is done."]
    scene.holds("work")
    run(loop, scene.commands.wipe())
    assert scene.link.asked[-1] == WipeClipboard()
    assert scene.messages.texts == []


def test_the_target_is_chosen_from_those_that_could_get_it(loop: QEventLoop, scene: Scene) -> None:
    with pytest.raises(Refused, match="is empty"):
        run(loop, scene.commands.paste_to())
    scene.holds("work")

    async def choose() -> None:
        pasting = asyncio.create_task(scene.commands.paste_to())

        def dialogs() -> list[PasteDialog]:
            return [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, PasteDialog)]

        await until(dialogs)
        [dialog] = dialogs()
        assert [dialog.list.item(row).text() for row in range(dialog.list.count())] == ["vault"]
        dialog.list.item(0).setSelected(True)
        dialog.accept()
        await pasting

    run(loop, choose())
    assert scene.link.asked == [PasteClipboard("vault")]


def test_the_host_s_clipboard_is_given_only_when_the_user_says_so(loop: QEventLoop, scene: Scene) -> None:
    clipboard = QGuiApplication.clipboard()
    clipboard.setText("größe")

    async def answer(button: str) -> None:
        giving = asyncio.create_task(scene.commands.give(WORK))
        box = await shown_box()
        assert box.text() == "Paste the 7 bytes of text on the host’s clipboard into “work”?"
        press(box, button)
        await giving

    run(loop, answer("Cancel"))
    assert scene.link.asked == []
    run(loop, answer("Paste"))
    assert scene.link.asked == [GiveText.holding("work", "größe")]
    clipboard.clear()
    with pytest.raises(Refused, match="no text on the host"):
        run(loop, scene.commands.give(WORK))


def test_what_the_host_gets_is_said_with_its_source(loop: QEventLoop, scene: Scene) -> None:
    with pytest.raises(Refused, match="is empty"):
        run(loop, scene.commands.take())
    scene.holds("work")
    scene.link.answer = ClipboardText.holding("work", "größe".encode())
    run(loop, scene.commands.take())
    assert scene.link.asked == [TakeClipboard()]
    assert QGuiApplication.clipboard().text() == "größe"
    assert scene.messages.texts == ["7 bytes from “work” are on the host’s clipboard; the inter-domain one is wiped."]
    QGuiApplication.clipboard().clear()


def test_the_tray_says_what_waits_and_never_the_text(scene: Scene, parent: QWidget) -> None:
    triggered: list[tuple[str, str]] = []
    actions = [parent.addAction(name) for name in ("Paste to…", "Clear")]
    menu = ClipboardMenu(
        parent,
        scene.clipboards,
        scene.store,
        lambda operation, domains: triggered.append((operation, domains[0].name)),
        *actions,
    )

    def entries() -> list[str]:
        menu.aboutToShow.emit()
        return [action.text() for action in menu.actions() if action.text()]

    assert entries() == ["Empty", "&Copy from", "Paste to…", "Clear"]
    scene.holds("work")
    assert entries() == ["12 bytes from work, 0 s ago", "&Copy from", "&Paste into", "Paste to…", "Clear"]
    for submenu, expected in (("&Copy from", ["elsewhere", "vault", "work"]), ("&Paste into", ["vault"])):
        found = next(action for action in menu.actions() if action.text() == submenu).menu()
        assert isinstance(found, QMenu)
        assert [action.text() for action in found.actions()] == expected
        found.actions()[0].trigger()
    assert triggered == [("clipboard-copy", "elsewhere"), ("clipboard-paste", "vault")]
