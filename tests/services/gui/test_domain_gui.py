"""The windows of one domain, from its start to its end; guest and viewers are stand-ins that fail when they are to."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.viewers import viewer_process
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.events import DomainEvent, DomainEventKind
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.viewer_messages import Crossing, Launch, Pressed, Wish, Wished
from qubes_manager.services.gui import domain_gui as module
from qubes_manager.services.gui.domain_gui import DomainGui
from qubes_manager.services.gui.early_launches import EarlyLaunches
from tests.build import domain
from tests.services.gui.conftest import ALIAS, NOBODY, SHOWS, URI, Guest, Viewers
from tests.waiting import PATIENCE, soon, until

WORK = domain("work")
RULES = GuiRules("work", "#3465a4")
OPENED, CLOSED = DomainEventKind.PORT_OPENED, DomainEventKind.PORT_CLOSED


class Scene:
    """A domain whose windows are looked after, and what is told of them."""

    def __init__(self, connection: LibvirtConnection, guest: Guest, log: Path) -> None:
        self.connection = connection
        self.guest = guest
        self.told: list[GuiStatus] = []
        self.done: list[tuple[DomainKey, Pressed | Wished]] = []
        self.patience = PATIENCE
        self.log = log
        self.task: asyncio.Task[None] | None = None

    def start(self) -> DomainGui:
        self.connection.handles[WORK.key.uuid] = self.guest
        gui = DomainGui(
            self.connection,
            WORK,
            RULES,
            self.patience,
            self.log,
            EarlyLaunches(),
            self.told.append,
            lambda key, event: self.done.append((key, event)),
        )
        self.task = asyncio.create_task(gui.run())
        return gui

    def happens(self, kind: DomainEventKind, alias: str = ALIAS, uuid: str = WORK.key.uuid) -> None:
        self.connection.announce(DomainEvent(uuid, kind, alias))

    @property
    def phases(self) -> list[GuiPhase]:
        return [status.phase for status in self.told]

    async def until(self, phase: GuiPhase) -> GuiStatus:
        """Wait for a phase, and forget what was told until then."""
        await until(lambda: phase in self.phases)
        found = self.told[self.phases.index(phase)]
        del self.told[: self.phases.index(phase) + 1]
        return found


@pytest.fixture
async def scene(tmp_path: Path, port: Path, viewers: Viewers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    connection = LibvirtConnection(URI, watch=False)
    await connection.open()
    scene = Scene(connection, Guest(port), tmp_path / "log")
    yield scene
    if scene.task:
        scene.task.cancel()
        await asyncio.gather(scene.task, return_exceptions=True)
    await connection.close()


async def test_windows_come_and_go_with_the_guests_port(scene: Scene) -> None:
    scene.start()
    round_trip = [GuiPhase.WAITING, GuiPhase.CONNECTING, GuiPhase.SHOWN]
    for times in (1, 2):
        await until(lambda: scene.phases[-1:] == [GuiPhase.WAITING])
        scene.happens(OPENED)
        await until(lambda: scene.phases[-1] is GuiPhase.SHOWN)
        assert scene.phases == round_trip * times
        scene.happens(CLOSED)
    await until(lambda: scene.phases[-1] is GuiPhase.WAITING)
    # Nothing more comes while the port is shut.
    await asyncio.sleep(0.1)
    assert scene.phases == [*round_trip * 2, GuiPhase.WAITING]


async def test_a_port_that_was_open_already_is_connected_to(scene: Scene) -> None:
    scene.guest.state = "connected"
    scene.start()
    await scene.until(GuiPhase.SHOWN)


async def test_a_port_that_libvirt_writes_down_late_is_connected_to(scene: Scene) -> None:
    """As while a saved state is restored: the event came before anybody listened."""
    scene.start()
    await scene.until(GuiPhase.WAITING)
    scene.guest.state = "connected"
    await scene.until(GuiPhase.SHOWN)


async def test_ports_of_others_are_none_of_its_business(scene: Scene) -> None:
    scene.start()
    await scene.until(GuiPhase.WAITING)
    scene.happens(OPENED, "channel0")
    scene.happens(OPENED, uuid=NOBODY)
    await asyncio.sleep(0.1)
    assert scene.told == []
    scene.happens(OPENED)
    await scene.until(GuiPhase.SHOWN)
    scene.happens(CLOSED, "channel0")
    scene.happens(CLOSED, uuid=NOBODY)
    await asyncio.sleep(0.1)
    assert scene.told == []


async def test_a_guest_that_is_late_is_said_to_be_silent_and_shown_when_it_comes(scene: Scene) -> None:
    scene.patience = 0.05
    scene.start()
    silent = await scene.until(GuiPhase.SILENT)
    assert silent.message == "nothing in “work” offers windows after 0 s"
    scene.happens(OPENED)
    await scene.until(GuiPhase.SHOWN)


async def test_the_viewer_of_a_silent_guest_has_gone_when_its_windows_are_given_up(
    scene: Scene, viewers: Viewers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_process, "_END_PATIENCE", 600.0)
    viewers.script = 'cat >/dev/null; echo "$$" >"$1"; exec sleep 600'
    scene.patience = 0.05
    scene.start()
    assert scene.task
    await until(lambda: viewers.orders)
    scene.task.cancel()
    async with soon():
        await asyncio.wait({scene.task})
    assert not Path(f"/proc/{viewers.orders.strip()}").exists()


async def test_a_viewer_that_dies_is_said_and_comes_again(scene: Scene, viewers: Viewers) -> None:
    viewers.script = "read -r rules; echo boom >&2; exit 3"
    scene.guest.state = "connected"
    scene.start()
    failed = await scene.until(GuiPhase.FAILED)
    assert failed.message == "the windows of “work” closed: boom (exit code 3)"
    assert "boom" in await asyncio.to_thread(scene.log.read_text)
    viewers.script = SHOWS
    await scene.until(GuiPhase.SHOWN)


@pytest.mark.parametrize("how", ["shown", "launched"])
async def test_what_cannot_be_shown_at_all_is_said_once_and_tried_again_when_the_user_wants_it(
    scene: Scene, viewers: Viewers, how: str
) -> None:
    viewers.script = """
        read -r rules; echo tried >>"$1"
        echo '{"type": "unusable", "reason": "xpra is too old"}'; cat >/dev/null
    """
    scene.guest.state = "connected"
    gui = scene.start()
    assert (await scene.until(GuiPhase.FAILED)).message == "xpra is too old"
    # The guest's end comes back whenever a viewer has gone.
    scene.happens(CLOSED)
    scene.happens(OPENED)
    await asyncio.sleep(0.1)
    assert (scene.told, viewers.orders) == ([], "tried\n")
    viewers.script = SHOWS
    if how == "shown":
        await gui.show(take_over=False)
    else:
        gui.announce_launch(Launch("late"))
    await scene.until(GuiPhase.SHOWN)
    assert ('"late"' in viewers.orders) is (how == "launched")


@pytest.mark.parametrize("said", [Pressed(Crossing.PASTE, 12_345, 1500), Wished(Wish.KILL)], ids=["keys", "a wish"])
async def test_what_the_user_does_is_told_with_the_domain_over_whose_window_it_was(
    scene: Scene, viewers: Viewers, said: Pressed | Wished
) -> None:
    viewers.script = f"read -r rules; echo '{said.to_json()}'; cat >/dev/null"
    scene.guest.state = "connected"
    scene.start()
    await until(lambda: scene.done)
    assert scene.done == [(WORK.key, said)]


async def test_a_domain_without_the_port_has_no_status(scene: Scene) -> None:
    scene.guest.state = ""
    scene.start()
    assert scene.task
    async with soon():
        await scene.task
    assert scene.told == []


async def test_other_rules_are_told_to_the_viewer_once_and_no_window_opens_anew(scene: Scene, viewers: Viewers) -> None:
    scene.guest.state = "connected"
    gui = scene.start()
    await scene.until(GuiPhase.SHOWN)
    before = viewers.orders.splitlines()
    gui.change_rules(RULES)
    gui.change_rules(replace(RULES, colour="#cc0000"))
    await until(lambda: "#cc0000" in viewers.orders)
    await asyncio.sleep(0.1)
    assert (len(viewers.orders.splitlines()), scene.told) == (len(before) + 1, [])
    gui.change_rules(replace(RULES, colour="#cc0000", border_width=9))
    await until(lambda: '"border_width": 9' in viewers.orders or '"border_width":9' in viewers.orders)
    assert (viewers.orders.count('"go"'), scene.told) == (1, [])


async def test_a_launch_that_was_announced_too_early_is_told_to_the_first_viewer_only(
    scene: Scene, viewers: Viewers
) -> None:
    gui = scene.start()
    await scene.until(GuiPhase.WAITING)
    gui.announce_launch(Launch("early"))
    scene.happens(OPENED)
    await scene.until(GuiPhase.SHOWN)
    gui.announce_launch(Launch("now"))
    await until(lambda: '"now"' in viewers.orders)
    scene.happens(CLOSED)
    scene.happens(OPENED)
    await scene.until(GuiPhase.SHOWN)
    assert viewers.orders.count('"early"') == viewers.orders.count('"now"') == 1


async def test_windows_are_counted_and_what_was_denied_is_said_with_the_domains_name(
    scene: Scene, viewers: Viewers
) -> None:
    viewers.script = """
        read -r rules
        echo '{"type": "connected"}'
        echo '{"type": "windows", "count": 2}'
        echo '{"type": "mapped"}'
        echo '{"type": "denied", "what": "cover the screen"}'
        cat >/dev/null
    """
    scene.guest.state = "connected"
    scene.start()
    await until(lambda: scene.told and scene.told[-1].message)
    last = scene.told[-1]
    assert (last.phase, last.windows, last.mapped) == (GuiPhase.SHOWN, 2, 1)
    assert last.message == "refused to “work”: cover the screen"
    # With the port they are gone; how many there ever were is not forgotten.
    scene.told.clear()
    scene.happens(CLOSED)
    waiting = await scene.until(GuiPhase.WAITING)
    assert (waiting.windows, waiting.mapped, waiting.message) == (0, 1, "")


async def test_what_a_viewer_says_out_of_all_measure_ends_nothing(scene: Scene, viewers: Viewers) -> None:
    viewers.script = """
        read -r rules
        head -c 60000 /dev/zero | tr '\\0' '['; echo
        head -c 16000 /dev/zero | tr '\\0' '['; echo
        printf '{"type": "windows", "count": '; head -c 15000 /dev/zero | tr '\\0' '['; echo
        echo '{"type": "connected"}'
        cat >/dev/null
    """
    scene.guest.state = "connected"
    scene.start()
    await scene.until(GuiPhase.SHOWN)


async def test_a_viewer_that_floods_is_followed_slowly_and_ended_with_the_port(
    scene: Scene, viewers: Viewers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_process, "_END_PATIENCE", 0.1)
    viewers.script = """
        read -r rules
        exec yes '{"type": "windows", "count": 1}
{"type": "windows", "count": 2}'
    """
    scene.guest.state = "connected"
    begun = time.monotonic()
    scene.start()
    await until(lambda: len(scene.told) > 220)
    assert len(scene.told) < 210 + 50 * (time.monotonic() - begun)
    viewers.script = SHOWS
    scene.happens(CLOSED)
    scene.told.clear()
    await until(lambda: GuiPhase.WAITING in scene.phases)
    scene.happens(OPENED)
    await until(lambda: GuiPhase.SHOWN in scene.phases)
