"""When a command is run, and how long a guest is waited for; no domain of the test driver has an agent."""

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.guests.guest_agent import GuestAgent
from qubes_manager.core.domain import DomainConfig, DomainState
from qubes_manager.core.errors import GuestError, Refused
from tests.driver import PAUSED, RUNNING
from tests.services.conftest import MakeWorld, World


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    domains = [NewDomain(name, DomainConfig()) for name in ("runs", "stands", "off")]
    return await driver_world(domains, states={"runs": RUNNING, "stands": PAUSED})


async def test_what_does_not_run_is_started_only_when_that_is_wanted(world: World) -> None:
    for name, reason in (("stands", "is paused"), ("off", "is not running")):
        with pytest.raises(Refused, match=f"“{name}” {reason}"):
            await world.commands.run(world.named(name).key, "true", autostart=False)
        assert world.named(name).state is not DomainState.RUNNING
        with pytest.raises(GuestError, match=f"no guest agent answers in “{name}” after 0 s"):
            await world.commands.run(world.named(name).key, "true", startup_timeout=0.05)
        assert world.named(name).state is DomainState.RUNNING


async def test_the_users_option_says_how_long_a_guest_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(_agent: GuestAgent, timeout: float) -> None:
        raise GuestError(f"not within {timeout:.0f} s")

    monkeypatch.setattr(GuestAgent, "wait", give_up)
    world.gui_options.put({"startup_timeout": 90})
    world.gui_options.put({"startup_timeout": 5}, world.named("runs"))
    for name, seconds in (("runs", 5), ("off", 90)):
        with pytest.raises(GuestError, match=f"not within {seconds} s"):
            await world.commands.ready(world.named(name).key)
    with pytest.raises(GuestError, match="not within 7 s"):
        await world.commands.ready(world.named("runs").key, startup_timeout=7)


async def test_dom0_runs_nothing_for_us(world: World) -> None:
    with pytest.raises(Refused, match="dom0 is this machine: run the command in a terminal"):
        await world.commands.run(world.named("dom0").key, "true")
