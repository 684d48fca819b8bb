"""Whose windows are looked after, as the store tells of domains."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.core.domain import Domain, DomainState
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.viewer_messages import Launch
from qubes_manager.services.files.log_paths import LogPaths
from qubes_manager.services.gui import early_launches
from qubes_manager.services.gui.supervisor import GuiSupervisor
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.services.gui.conftest import URI, Guest, Viewers
from tests.waiting import until


class Scene:
    """The domain “test” of the test driver, to which a stand-in gives the port."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts = hosts
        self.store = hosts.store
        self.supervisor = GuiSupervisor(hosts, hosts.store, GuiOptions(), LogPaths(folder))
        self.told: list[GuiPhase | None] = []
        self.supervisor.on_change(self.hear)

    def hear(self, _uuid: str, status: GuiStatus | None) -> None:
        self.told.append(status.phase if status else None)

    def show(self, **changes: object) -> Domain:
        found = self.store.named(URI, "test")
        assert found
        config = replace(found.config, gui_port=True)
        changed = replace(found, **{"id": 1, "state": DomainState.RUNNING, "config": config, **changes})  # type: ignore[arg-type]
        self.store.put([changed])
        return changed


@pytest.fixture
async def scene(port: Path, viewers: Viewers, tmp_path: Path) -> AsyncIterator[Scene]:
    hosts = Hosts(DomainStore(), watch=False)
    await hosts.load(URI)
    scene = Scene(hosts, tmp_path)
    guest = hosts.store.named(URI, "test")
    assert guest
    hosts.connection(URI).handles[guest.key.uuid] = Guest(port, "connected")
    yield scene
    await scene.supervisor.close()
    assert scene.supervisor.is_idle
    await hosts.close()


async def test_a_domain_is_looked_after_while_it_runs_and_has_the_port(scene: Scene) -> None:
    await asyncio.sleep(0.1)
    assert scene.supervisor.is_idle
    scene.show()
    await until(lambda: scene.told[-1:] == [GuiPhase.SHOWN])
    scene.show(state=DomainState.HALTED, id=-1)
    await until(lambda: scene.told[-1] is None)
    assert scene.supervisor.is_idle


async def test_whoever_comes_later_is_told_how_things_stand(scene: Scene) -> None:
    shown = scene.show()
    await until(lambda: scene.told[-1:] == [GuiPhase.SHOWN])
    late: list[tuple[str, GuiStatus | None]] = []
    leave = scene.supervisor.on_change(lambda uuid, status: late.append((uuid, status)))
    assert late == [(shown.key.uuid, GuiStatus(shown.key.uuid, GuiPhase.SHOWN))]
    leave()
    scene.show(stale=True)
    await until(lambda: scene.told[-1] is None)
    assert len(late) == 1


async def test_another_run_of_a_domain_has_windows_of_its_own(scene: Scene) -> None:
    scene.show()
    await until(lambda: scene.told[-1:] == [GuiPhase.SHOWN])
    scene.told.clear()
    scene.show(id=2)
    await until(lambda: scene.told[-1:] == [GuiPhase.SHOWN])
    assert scene.told[0] is None


async def test_one_that_is_gone_is_left_alone(scene: Scene) -> None:
    shown = scene.show()
    await until(lambda: scene.told)
    scene.store.remove([shown.key])
    await until(lambda: scene.told[-1] is None and scene.supervisor.is_idle)


async def test_options_and_launches_reach_the_viewer_of_their_domain(scene: Scene, viewers: Viewers) -> None:
    shown = scene.show()
    await until(lambda: scene.told[-1:] == [GuiPhase.SHOWN])
    scene.supervisor.set_options(GuiOptions(domains={shown.key.uuid: {"allow_fullscreen": True}}))
    await until(lambda: '"allow_fullscreen": true' in viewers.orders)
    scene.supervisor.announce_launch("another", Launch("theirs"))
    scene.supervisor.announce_launch(shown.key.uuid, Launch("its"))
    await until(lambda: '"its"' in viewers.orders)
    assert '"theirs"' not in viewers.orders


@pytest.mark.parametrize("is_late", [False, True], ids=["soon", "late"])
async def test_a_launch_in_a_domain_of_which_nothing_was_heard_yet_is_kept_for_a_while(
    scene: Scene, viewers: Viewers, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    found = scene.store.named(URI, "test")
    assert found
    if is_late:
        monkeypatch.setattr(early_launches, "_KEPT", 0.0)
    scene.supervisor.announce_launch(found.key.uuid, Launch("early"))
    scene.show()
    await until(lambda: scene.told[-1:] == [GuiPhase.SHOWN])
    scene.supervisor.announce_launch(found.key.uuid, Launch("now"))
    await until(lambda: '"now"' in viewers.orders)
    assert ('"early"' in viewers.orders) is not is_late
