"""Consoles, whose viewers are stand-ins; real ones are in tests/integration/test_gui.py."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.gui_messages import ConsoleKind
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.labels import LABELS
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui.consoles import Consoles
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.services.gui.conftest import URI, Guest, Viewers
from tests.waiting import until


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


async def test_a_console_wears_the_colour_of_its_domain_when_that_changes_too(scene: Scene, viewers: Viewers) -> None:
    await scene.open()
    # Without a label it is that of the least trust.
    await until(lambda: LABELS["red"].colour in viewers.orders)
    scene.store.put([replace(scene.domain, config=replace(scene.domain.config, label=LABELS["green"]))])
    await until(lambda: LABELS["green"].colour in viewers.orders)
    scene.consoles.set_options(GuiOptions({"border_width": 17}))
    await until(lambda: '"border_width": 17' in viewers.orders)
    assert not scene.consoles.is_idle


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
    async with asyncio.timeout(10):
        await (await scene.open())
    await until(lambda: scene.consoles.is_idle)
    assert scene.complaints == complaints
