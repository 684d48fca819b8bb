"""Starting applications from the window: what is shown meanwhile, and what is said when it goes wrong."""

import asyncio
from dataclasses import replace
from unittest.mock import call, create_autospec

import pytest
import qasync
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import UNREAD, DomainKey, DomainState
from qubes_manager.core.errors import GuestError
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.models.applications_model import Entry
from qubes_manager.services.applications.app_lists import AppLists
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.properties import Properties
from qubes_manager.services.gui.launching import Launching
from qubes_manager.ui.applications.app_commands import AppCommands
from qubes_manager.ui.feedback.message_bar import MessageBar
from qubes_manager.ui.feedback.tasks import Tasks
from tests.ui.conftest import APPS, domain, run
from tests.waiting import until

WORK = domain("work")
EDITOR, FIREFOX, XTERM = APPS


class Launches(Launching):
    """Stands in for guests: each launch waits for its window until a test lets it come, or stay away."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.store, services.commands, services.lifecycle, services.links, services.disposables)
        self.waiting: list[asyncio.Future[bool]] = []

    async def application(
        self, key: DomainKey, app_id: str, *, progress: Progress = SILENT, startup_id: str = ""
    ) -> None:
        if app_id == "gone":
            raise GuestError("gone is not there")

    async def window(self, key: DomainKey, before: int, timeout: float = 0) -> bool:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return await self.waiting[-1]


class Scene:
    """The commands over a message bar; *unlocks* says whether a halted domain starts when it is asked to."""

    def __init__(self, services: Services) -> None:
        self.services, self.unlocks = services, True
        self.bar = MessageBar()
        self.launches = services.launching = Launches(services)
        self.commands = AppCommands(self.bar, services, Tasks(self.bar.show_error), self.bar, self._start)

    async def _start(self, key: DomainKey) -> None:
        if self.unlocks:
            self.services.store.put([replace(self.services.store.require(key), state=DomainState.RUNNING)])

    async def launch(self, app: Application, number: int = 1) -> asyncio.Future[bool]:
        """Start an application, and return what its window comes by: the *number*-th in this scene."""
        self.commands.launch(Entry(WORK, app))
        await until(lambda: len(self.launches.waiting) == number)
        return self.launches.waiting[-1]

    @property
    def buttons(self) -> list[str]:
        return [button.text() for button in self.bar.findChildren(QPushButton) if button.isVisibleTo(self.bar)]


@pytest.fixture
def scene(qtbot: QtBot, services: Services) -> Scene:
    scene = Scene(services)
    qtbot.addWidget(scene.bar)
    return scene


def test_the_end_of_one_launch_leaves_the_message_of_another_of_the_same(scene: Scene, loop: qasync.QEventLoop) -> None:
    async def work() -> None:
        scene.services.store.put([WORK])
        first = await scene.launch(XTERM)
        second = await scene.launch(XTERM, 2)
        await until(lambda: scene.bar.texts == ["XTerm in “work”: waiting for its window…"] * 2)
        first.set_result(True)
        await until(lambda: len(scene.bar.texts) == 1)
        await asyncio.sleep(0.02)
        assert scene.bar.texts == ["XTerm in “work”: waiting for its window…"]
        second.set_result(True)
        await until(lambda: not scene.bar.texts)

    run(loop, work())


def test_a_window_that_does_not_come_is_said_and_the_console_offered(scene: Scene, loop: qasync.QEventLoop) -> None:
    async def work() -> None:
        scene.services.store.put([WORK])
        window = await scene.launch(FIREFOX)
        window.set_result(False)
        await until(lambda: scene.bar.texts == ["Firefox in “work” was started, but no window of it has come."])
        assert scene.buttons == ["Open console"]

    run(loop, work())


def test_a_launch_that_fails_says_why_and_no_longer_waits(scene: Scene, loop: qasync.QEventLoop) -> None:
    async def work() -> None:
        scene.services.store.put([WORK])
        scene.commands.launch(Entry(WORK, Application("gone", "Gone")))
        await until(lambda: scene.bar.texts == ["Gone is not there"])

    run(loop, work())


def test_a_halted_domain_is_started_first_and_without_its_passphrase_nothing_is(
    scene: Scene, loop: qasync.QEventLoop
) -> None:
    async def work() -> None:
        scene.services.store.put([replace(WORK, state=DomainState.HALTED)])
        scene.unlocks = False
        scene.commands.launch(Entry(WORK, XTERM))
        await asyncio.sleep(0.05)
        assert (scene.launches.waiting, scene.bar.texts) == ([], [])
        scene.unlocks = True
        window = await scene.launch(XTERM)
        assert scene.services.store.require(WORK.key).state is DomainState.RUNNING
        window.set_result(True)

    run(loop, work())


def test_what_is_wrong_with_a_domain_s_windows_is_said_until_they_are_well(
    scene: Scene, loop: qasync.QEventLoop
) -> None:
    def tell(phase: GuiPhase, message: str = "") -> None:
        link.changed.emit(WORK.key.uuid, GuiStatus(WORK.key.uuid, phase, message=message))

    async def work() -> None:
        scene.services.store.put([WORK])
        tell(GuiPhase.SILENT, "“work” shows no windows")
        assert (scene.bar.texts, scene.buttons) == (["“work” shows no windows."], ["Open console"])
        tell(GuiPhase.CONNECTING)
        assert scene.bar.texts == []
        tell(GuiPhase.ELSEWHERE, "“work” is shown on another screen")
        assert scene.bar.texts == ["“work” is shown on another screen."]
        assert scene.buttons == ["Show them here"]
        tell(GuiPhase.FAILED, "the viewer ended")
        link.changed.emit(WORK.key.uuid, None)
        assert scene.bar.texts == []
        tell(GuiPhase.FAILED, "the viewer ended")
        link.noticed.emit("a window was refused")
        assert scene.bar.texts == ["The viewer ended.", "A window was refused"]

    link = scene.services.links.link(WORK.key.connection)
    run(loop, work())


def test_a_favourite_is_put_last_and_taken_out_again(scene: Scene, loop: qasync.QEventLoop) -> None:
    properties = scene.services.properties = create_autospec(Properties)
    liked = domain("work", menu=("xterm",), favourites=("editor", "xterm"))

    async def work() -> None:
        scene.services.store.put([liked])
        scene.commands.toggle_favourite(Entry(liked, FIREFOX))
        scene.commands.toggle_favourite(Entry(liked, EDITOR))
        # Of a domain that has not been read nobody knows what the menu has; it must not be lost.
        unread = replace(domain("unread"), config=UNREAD)
        scene.services.store.put([unread])
        scene.commands.toggle_favourite(Entry(unread, XTERM))
        await asyncio.sleep(0.02)

    run(loop, work())
    assert properties.method_calls == [
        call.set_favourite(liked.key, "firefox", True),
        call.set_favourite(liked.key, "editor", False),
    ]


def test_after_a_refresh_it_is_said_how_many_applications_there_are(scene: Scene, loop: qasync.QEventLoop) -> None:
    lists = scene.services.lists = create_autospec(AppLists)
    lists.refresh.side_effect = [APPS, APPS[:1]]
    run(loop, scene.commands.refresh([WORK, domain("bank")]))
    assert scene.bar.texts == ["“work” has 3 applications.", "“bank” has 1 application."]
