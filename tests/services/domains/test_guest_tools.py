"""Whose guest tools are whose, and when they are updated; on the test driver. Real guests are in tests/integration."""

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.guests.guest_tools import tools_digest
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainState
from qubes_manager.core.errors import Cancelled, Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.tool_versions import tools_text
from tests.driver import PAUSED
from tests.heard_progress import HeardProgress
from tests.services.conftest import MakeWorld, World

ROOT = (OwnVolume(Role.ROOT, "p", "root.qcow2"),)


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    return await driver_world(
        [
            NewDomain("debian", DomainConfig(klass=DomainClass.TEMPLATE, volumes=ROOT)),
            NewDomain("own", DomainConfig(volumes=ROOT)),
            NewDomain("plain", DomainConfig(klass=DomainClass.STANDALONE)),
            NewDomain("work", DomainConfig(klass=DomainClass.APP, template="debian")),
            NewDomain("foreign", DomainConfig()),
        ],
        states={"own": PAUSED},
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("work", "the guest tools of “work” come from its template: update “debian”"),
        ("own", "“own” is paused: its guest tools are updated while it runs or is halted"),
        ("dom0", "dom0"),
    ],
)
async def test_what_cannot_be_updated_says_why(world: World, name: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        await world.guest_tools.update(world.named(name).key)


@pytest.mark.parametrize("others", ["", "start it"])
async def test_one_that_is_cancelled_ends_the_domain_that_was_started_for_it_and_no_other(
    world: World, others: str
) -> None:
    plain = world.named("plain").key
    if others:
        # Nobody here has heard of it.
        await world.hosts.connection(world.uri).on_domain(plain.uuid, "start", lambda domain: domain.create())
        assert world.named("plain").state is DomainState.HALTED
    with pytest.raises(Cancelled):
        await world.guest_tools.update(plain, HeardProgress(stop_at="Starting “plain”"))
    await world.hosts.refresh(plain)
    assert world.named("plain").state is (DomainState.RUNNING if others else DomainState.HALTED)


async def test_which_tools_a_domain_has_is_kept_with_it(world: World) -> None:
    def texts() -> dict[str, str]:
        return {name: tools_text(world.named(name)) for name in ("debian", "own", "work", "foreign")}

    assert texts() == {"debian": "none", "own": "none", "work": "", "foreign": ""}
    for name, digest in (("debian", tools_digest()), ("own", "feed"), ("work", "feed"), ("foreign", "feed")):
        await world.guest_tools.record(world.named(name).key, digest)
    assert texts() == {"debian": "current", "own": "older", "work": "", "foreign": "older"}
