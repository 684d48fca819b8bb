"""Consoles, whose viewers are stand-ins; real ones are in tests/integration/gui."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.user.port_holder import HeldPort, PortHolder
from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.gui_messages import ConsoleKind, Port
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.labels import LABELS
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.consoles import Consoles
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.services.gui.conftest import URI, Guest, Viewers
from tests.waiting import soon, until


class Scene:
    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts, self.store = hosts, hosts.store
        self.complaints: list[str] = []
        self.consoles = Consoles(hosts, hosts.store, GuiOptions(), LogPaths(folder), self.complaints.append)

    @property
    def domain(self) -> Domain:
        found = self.store.named(URI, "test")
        assert found
        return found

    async def open(self) -> "asyncio.Task[None]":
        return await self.consoles.open(self.domain.key, ConsoleKind.SCREEN)


@pytest.fixture
async def scene(viewers: Viewers, tmp_path: Path) -> AsyncIterator[Scene]:
    """The domain “test” of the test driver, to which a stand-in gives a screen."""
    hosts = Hosts(DomainStore(), watch=False)
    await hosts.load(URI)
    scene = Scene(hosts, tmp_path)
    # The first batch has all as added; what comes now are changes.
    hosts.store.flush()
    hosts.connection(URI).handles[scene.domain.key.uuid] = Guest(tmp_path)
    yield scene
    await scene.consoles.close()
    assert scene.consoles.is_idle
    await hosts.close()


async def test_only_what_runs_has_a_console(scene: Scene) -> None:
    scene.store.put([replace(scene.domain, state=DomainState.HALTED)])
    with pytest.raises(Refused, match="“test” is not running: it has no console now"):
        await scene.open()
    host = scene.store.named(URI, "dom0")
    assert host
    with pytest.raises(Refused, match="“dom0” is not running"):
        await scene.consoles.open(host.key, ConsoleKind.SCREEN)
    assert scene.consoles.is_idle


async def test_one_that_somebody_else_has_is_said_to_be_so(scene: Scene) -> None:
    connection = scene.hosts.connection(URI)
    connection.handles[scene.domain.key.uuid] = await connection.call("find", lambda raw: raw.lookupByName("test"))
    with pytest.raises(HostCallFailed, match="cannot open the serial console; another program may have it"):
        await scene.consoles.open(scene.domain.key, ConsoleKind.SERIAL)
    assert scene.consoles.is_idle


async def test_a_serial_console_of_another_screen_is_said_to_be_there_and_may_be_asked_for(scene: Scene) -> None:
    uuid, connection = scene.domain.key.uuid, scene.hosts.connection(URI)
    connection.handles[uuid] = await connection.call("find", lambda raw: raw.lookupByName("test"))
    held = HeldPort(uuid, Port.SERIAL, PortHolder(1, "qubes-manager gui", ":9", "/no/such/socket"))
    who = re.escape(
        "is taken: qubes-manager gui (process 1) on display :9 has it; “qvm-console --serial --take-over test”"
    )
    for take_over in (False, True):
        with pytest.raises(Refused, match=who):
            await scene.consoles.open(scene.domain.key, ConsoleKind.SERIAL, take_over=take_over)
    held.close()
    # One that cannot be opened is nobody's.
    for _ in range(2):
        with pytest.raises(HostCallFailed):
            await scene.consoles.open(scene.domain.key, ConsoleKind.SERIAL)


async def test_a_console_wears_the_colour_of_its_domain_when_that_changes_too(scene: Scene, viewers: Viewers) -> None:
    await scene.open()
    # Without a label it is that of the least trust.
    await until(lambda: LABELS["red"].colour in viewers.orders)
    scene.store.put([replace(scene.domain, config=replace(scene.domain.config, label=LABELS["green"]))])
    await until(lambda: LABELS["green"].colour in viewers.orders)
    scene.consoles.set_options(GuiOptions({"border_width": 17}))
    await until(lambda: '"border_width": 17' in viewers.orders)
    assert not scene.consoles.is_idle


async def test_a_domain_has_few_consoles_at_once(scene: Scene) -> None:
    for _ in range(4):
        await scene.open()
    with pytest.raises(Refused, match="“test” has 4 consoles open already: close one of them"):
        await scene.open()


@pytest.mark.parametrize(
    ("script", "complaints"),
    [
        ("echo gone >&2; exit 4", ["the console of “test” closed: gone (exit code 4)"]),
        ("exit 0", []),
    ],
    ids=["it fails", "its window is closed"],
)
async def test_only_a_console_that_failed_is_complained_of(
    scene: Scene, viewers: Viewers, script: str, complaints: list[str]
) -> None:
    viewers.script = script
    async with soon():
        await (await scene.open())
    await until(lambda: scene.consoles.is_idle)
    assert scene.complaints == complaints
