"""What becomes of templates' runs, on the test driver, whose volumes have names and no content.

What the revisions hold is in tests/integration: test_templates.py, test_template_machine.py, test_crashes.py.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.volumes.template_roots import Outcome, Settlement, needs_settling
from tests.build import domain
from tests.driver import FOLDER, RUNNING
from tests.services.conftest import MakeWorld, World

DEBIAN = "11111111-1111-4111-8111-111111111111"


def root(number: int, **fields: object) -> OwnVolume:
    name = f"debian.root@{number}.qcow2"
    return OwnVolume(Role.ROOT, "qubes-manager", name, number, **fields)  # type: ignore[arg-type]


ROOTS = (root(1), root(2, backing=root(1).name))
KERNELS = tuple(OwnVolume(Role.KERNEL, "qubes-manager", f"debian.kernel{n}") for n in (1, 2))


def template(*roots: OwnVolume, disk: int, revision: int = 1) -> NewDomain:
    config = DomainConfig(klass=DomainClass.TEMPLATE, revision=revision, volumes=(*roots, KERNELS[0]))
    return NewDomain("debian", config, DEBIAN, disks=(DiskSpec(f"{FOLDER}/{root(disk).name}"),))


def app(**fields: object) -> NewDomain:
    config = DomainConfig(klass=DomainClass.APP, template="debian", template_uuid=DEBIAN)
    disk = DiskSpec(f"{FOLDER}/{root(1).name}", transient=True)
    return replace(NewDomain("work", config, disks=(disk,), kernel="/old"), **fields)  # type: ignore[arg-type]


MakeRun = Callable[..., Awaitable[World]]


@pytest.fixture
def run_template(driver_world: MakeWorld) -> MakeRun:
    """A world where a template that has revision 1 has run on revision 2, and its run has ended in some way."""

    async def make(end: str, *, disk: int = 2) -> World:
        names = [v.name for v in (*ROOTS, *KERNELS)]
        world = await driver_world([template(*ROOTS, disk=disk)], names, {"debian": RUNNING} if end else {})
        key = world.named("debian").key
        await actions_on(world.hosts, world.named("debian")).edit_config(
            lambda edit: edit.metadata().set_number("trial", 2)
        )
        if end:
            await world.hosts.connection(world.uri).on_domain(key.uuid, end, lambda d: getattr(d, end)())
        await world.hosts.refresh(key)
        return world

    return make


@pytest.mark.parametrize(
    ("end", "disk", "outcome", "current", "left"),
    [
        ("shutdown", 2, Outcome.COMMITTED, 2, [1, 2]),
        ("destroy", 2, Outcome.DROPPED, 1, [1]),
        # libvirt was started anew since, and does not know.
        ("", 2, Outcome.SET_ASIDE, 1, [1, 2]),
        # It never ran on what was made for it.
        ("shutdown", 1, Outcome.DROPPED, 1, [1]),
        ("", 1, Outcome.DROPPED, 1, [1]),
    ],
)
async def test_only_a_run_that_ended_well_is_kept_and_one_of_which_nothing_is_known_is_not_lost(
    run_template: MakeRun, end: str, disk: int, outcome: Outcome, current: int, left: list[int]
) -> None:
    world = await run_template(end, disk=disk)
    heard: list[Settlement] = []
    world.roots.settled.connect(heard.append)
    key = world.named("debian").key
    settlement = await world.roots.settle(key)
    assert settlement == Settlement(key, "debian", outcome, 2, current)
    assert heard == [settlement]
    config = world.named("debian").config
    assert (config.revision, config.trial) == (current, 0)
    assert [v.revision for v in config.volumes if v.role is Role.ROOT] == left
    assert config.disks[0].source == f"{FOLDER}/{root(current).name}"
    assert (root(2).name in await world.volume_names()) is (2 in left)
    # Whoever comes later finds nothing to decide.
    assert await world.roots.settle(key) is None
    assert world.named("debian").activity is None


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, True),
        ({"config": DomainConfig()}, False),
        ({"state": DomainState.RUNNING}, False),
        ({"state": DomainState.PAUSED}, False),
        ({"state": DomainState.CRASHED}, True),
        ({"stale": True}, False),
    ],
)
def test_only_a_run_that_is_known_to_have_ended_is_to_be_settled(changes: dict[str, object], needs: bool) -> None:
    ended = domain(state=DomainState.HALTED, config=DomainConfig(trial=2))
    assert needs_settling(replace(ended, **changes)) is needs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "kept", "words"),
    [
        (Outcome.COMMITTED, True, "“debian” has a new revision 3; domains get it at their next start."),
        (Outcome.DROPPED, False, "what its run changed is dropped, and revision 3 stays current."),
        (Outcome.SET_ASIDE, False, "If its run ended well, go to revision 4"),
    ],
)
def test_a_person_is_told_what_became_of_the_run(outcome: Outcome, kept: bool, words: str) -> None:
    settlement = Settlement(DomainKey("x", "1"), "debian", outcome, 4, 3)
    assert settlement.is_kept is kept
    assert words in settlement.sentence


async def test_a_template_goes_to_any_revision_that_it_has_and_no_other(driver_world: MakeWorld) -> None:
    roots = (*ROOTS, root(3), root(4, unfinished=True))
    names = [v.name for v in (*roots, *KERNELS)]
    world = await driver_world([template(*roots, disk=3, revision=3), app()], names, {"work": RUNNING})
    key = world.named("debian").key
    for wanted, becomes in ((None, 2), (None, 1), (3, 3), (3, 3)):
        assert await world.roots.revert(key, wanted) == becomes
        config = world.named("debian").config
        assert (config.revision, config.disks[0].source) == (becomes, f"{FOLDER}/{root(becomes).name}")
    for missing in (4, 9, 0):
        with pytest.raises(BadInput, match=f"revision: '{missing or 'none'}' cannot be used; “debian” has 1, 2, 3"):
            await world.roots.revert(key, missing)
    await world.roots.revert(key, 1)
    with pytest.raises(BadInput, match="revision: 'none' cannot be used"):
        await world.roots.revert(key)
    with pytest.raises(Refused, match="“work” is running"):
        await world.roots.revert(world.named("work").key)


async def test_a_domain_starts_from_what_is_current_then(driver_world: MakeWorld) -> None:
    names = [v.name for v in (*ROOTS, *KERNELS)]
    world = await driver_world([template(*ROOTS, disk=2, revision=2), app()], names)
    async with world.roots.ready_to_start(world.named("work").key):
        pass
    await world.hosts.refresh(world.named("work").key)
    config = world.named("work").config
    assert config.disks[0].source == f"{FOLDER}/{root(2).name}"
    assert config.disks[0].transient
    assert config.kernel == f"{FOLDER}/{KERNELS[0].name}"


@pytest.mark.parametrize(
    ("domains", "error", "reason"),
    [
        ([app()], NotFound, "the template of “work”, debian, is gone: choose another one for it"),
        ([template(*ROOTS, disk=2, revision=7), app()], Refused, "the template “debian” has no root that is whole"),
    ],
)
async def test_a_domain_without_a_root_to_start_from_is_not_started(
    driver_world: MakeWorld, domains: list[NewDomain], error: type[QubesManagerError], reason: str
) -> None:
    world = await driver_world(domains, [v.name for v in (*ROOTS, *KERNELS)])
    with pytest.raises(error, match=reason):
        async with world.roots.ready_to_start(world.named("work").key):
            raise AssertionError("it was started")


async def test_a_start_of_a_template_that_fails_leaves_it_as_it_was(driver_world: MakeWorld) -> None:
    names = [v.name for v in (*ROOTS, *KERNELS)]
    world = await driver_world([template(*ROOTS, disk=2, revision=2)], names)
    before, key = world.named("debian").config, world.named("debian").key
    with pytest.raises(QubesManagerError, match="no memory"):
        async with world.roots.ready_to_start(key):
            await world.hosts.refresh(key)
            begun = world.named("debian").config
            assert (begun.trial, begun.revision, begun.disks[0].source[-8:]) == (3, 2, "@3.qcow2")
            raise QubesManagerError("no memory")
    await world.hosts.refresh(key)
    assert world.named("debian").config == before
    assert await world.volume_names() == sorted(names)


async def test_tidying_deletes_what_nobody_needs_and_spares_what_runs(driver_world: MakeWorld) -> None:
    roots = tuple(root(n) for n in (1, 2, 3, 4))
    names = [v.name for v in (*roots, *KERNELS)]
    world = await driver_world([template(*roots, disk=4, revision=4), app()], names, {"work": RUNNING})
    key = world.named("debian").key
    # The two newest are kept; work runs from the first.
    assert await world.roots.tidy(key) == [root(2).name]
    left = {v.name: v.role for v in world.named("debian").config.volumes}
    assert left == {
        root(1).name: Role.BASE,
        root(3).name: Role.ROOT,
        root(4).name: Role.ROOT,
        KERNELS[0].name: Role.KERNEL,
    }
    await world.hosts.connection(world.uri).on_domain(world.named("work").key.uuid, "end", lambda d: d.destroy())
    await world.hosts.refresh(world.named("work").key)
    assert await world.roots.tidy(key) == [root(1).name]
    assert await world.roots.tidy(key) == []
    assert await world.roots.tidy(world.named("work").key) == []
