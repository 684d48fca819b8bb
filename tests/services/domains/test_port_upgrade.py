"""Domains from before there were ports for what crosses between domains; on the test driver."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from qubes_manager.backend.domains import new_domain
from qubes_manager.backend.domains.domain_actions import DomainActions
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.crossing.ports import CROSSING_PORTS
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.port_upgrade import add_missing_ports
from tests.driver import HALTED
from tests.services.conftest import MakeWorld, World

ROOT = DomainConfig(volumes=(OwnVolume(Role.ROOT, "p", "own-root.qcow2"),))
DEMO = "44444444-4444-4444-8444-444444444444"


@pytest.fixture
def _before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New domains are made as earlier versions did."""
    with monkeypatch.context() as patch:
        patch.setattr(new_domain, "CROSSING_PORTS", CROSSING_PORTS[:1])
        yield


@pytest.fixture
async def world(_before: None, driver_world: MakeWorld) -> World:
    return await driver_world(
        [
            NewDomain("own", ROOT),
            NewDomain("debian", DomainConfig(klass=DomainClass.TEMPLATE), gui=True),
            NewDomain("demo", DomainConfig(), DEMO, console_log=f"/log/{DEMO}-console.log"),
            NewDomain("foreign", DomainConfig(), console_log="/log/mine.log"),
        ],
        states=dict.fromkeys(("own", "debian", "demo", "foreign"), HALTED),
    )


@pytest.mark.parametrize(("name", "has_them"), [("own", True), ("debian", True), ("demo", True), ("foreign", False)])
async def test_domains_of_ours_and_no_others_have_the_ports_from_their_next_start_on(
    world: World, name: str, has_them: bool
) -> None:
    before = world.named(name)
    assert not before.config.crossing_ports
    await add_missing_ports(world.hosts, before)
    await world.hosts.refresh(before.key)
    after = world.named(name).config
    assert after.crossing_ports is has_them
    assert after.gui_port == before.config.gui_port
    channels = [what for kind, what in after.others if kind == "channel"]
    assert len(channels) == 1 + before.config.gui_port + (len(CROSSING_PORTS) if has_them else 1), "each port once"


async def test_a_start_gives_the_ports(world: World) -> None:
    await world.lifecycle.start(world.named("demo").key)
    assert world.named("demo").state is DomainState.RUNNING
    assert world.named("demo").config.crossing_ports


async def test_a_saved_domain_goes_on_as_it_was_saved(world: World) -> None:
    saved = replace(world.named("own"), state=DomainState.SAVED)
    await add_missing_ports(world.hosts, saved)
    await world.hosts.refresh(saved.key)
    assert not world.named("own").config.crossing_ports


async def test_a_domain_starts_although_it_cannot_get_the_ports(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_self: object, _change: object) -> None:
        raise Refused("another program keeps changing it")

    monkeypatch.setattr(DomainActions, "edit_config", refuse)
    await world.lifecycle.start(world.named("own").key)
    assert world.named("own").state is DomainState.RUNNING
    assert "“own” starts without ports for what crosses between domains: another program" in caplog.text
