"""What becomes of templates' runs, on the test driver, whose volumes have names and no content.

What the revisions hold is in tests/integration: test_templates.py, test_template_machine.py, test_crashes.py.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.finishing import stored_xml
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, HostCallFailed, NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.settlement import Outcome, Settlement
from qubes_manager.core.volumes import OwnVolume, Role, volume_name
from qubes_manager.services.hosts.domain_access import actions_on
from tests.driver import FOLDER, RUNNING
from tests.services.conftest import MakeWorld, World

DEBIAN = "11111111-1111-4111-8111-111111111111"


def root(number: int, **fields: object) -> OwnVolume:
    name = f"debian.11111111.root@{number}.qcow2"
    return OwnVolume(Role.ROOT, "qubes-manager", name, number, **fields)  # type: ignore[arg-type]


ROOTS = (root(1), root(2, backing=root(1).name))
KERNELS = tuple(OwnVolume(Role.KERNEL, "qubes-manager", f"debian.kernel{n}") for n in (1, 2))


def template(*roots: OwnVolume, disk: int, revision: int = 1) -> NewDomain:
    config = DomainConfig(klass=DomainClass.TEMPLATE, revision=revision, volumes=(*roots, KERNELS[0]))
    at_rest = disk == revision
    return NewDomain("debian", config, DEBIAN, disks=(DiskSpec(f"{FOLDER}/{root(disk).name}", transient=at_rest),))


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
            for call in end.split():
                await world.hosts.connection(world.uri).on_domain(key.uuid, call, lambda d, c=call: getattr(d, c)())
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
        # Another program gave it another disk: what the run wrote before that is not lost.
        ("shutdown", 1, Outcome.SET_ASIDE, 1, [1, 2]),
        ("", 1, Outcome.SET_ASIDE, 1, [1, 2]),
        # Its memory may lie in a file, to go on from.
        ("managedSave managedSaveRemove", 2, Outcome.PUT_AWAY, 1, [1, 2]),
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
    assert config.disks[0].transient, "whoever starts it without us writes nothing into its current revision"
    assert (root(2).name in await world.volume_names()) is (2 in left)
    # Whoever comes later finds nothing to decide.
    assert await world.roots.settle(key) is None
    assert world.named("debian").activity is None


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
            assert not begun.disks[0].transient
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


async def test_of_two_who_start_a_template_at_once_the_second_takes_no_run_from_the_first(
    driver_world: MakeWorld,
) -> None:
    names = [v.name for v in (*ROOTS, *KERNELS)]
    world = await driver_world([template(*ROOTS, disk=2, revision=2)], names)
    key = world.named("debian").key
    starts = await asyncio.gather(*(world.lifecycle.start(key) for _ in range(2)), return_exceptions=True)
    refused = [str(error) for error in starts if error is not True]
    assert refused == ["“debian” was started by another program meanwhile"]
    assert world.named("debian").config.disks[0].source.endswith("@3.qcow2")
    await world.lifecycle.shutdown(key)
    config = world.named("debian").config
    assert (config.revision, config.trial) == (3, 0), "what the run changed is kept"
    assert max(v.revision for v in config.volumes) == 3


async def test_a_run_of_which_nobody_heard_that_it_began_is_decided_like_any_other(driver_world: MakeWorld) -> None:
    names = [v.name for v in (*ROOTS, *KERNELS)]
    world = await driver_world([template(*ROOTS, disk=2, revision=2)], names)
    key = world.named("debian").key
    with pytest.raises(TimedOut):
        async with world.roots.ready_to_start(key):
            await world.hosts.connection(world.uri).on_domain(key.uuid, "start", lambda domain: domain.create())
            raise TimedOut("the host did not answer")
    assert world.named("debian").config.trial == 3
    await world.lifecycle.shutdown(key)
    config = world.named("debian").config
    assert (config.revision, config.disks[0].source[-8:]) == (3, "@3.qcow2")
    assert config.disks[0].source.rpartition("/")[2] in await world.volume_names()


async def test_a_revision_of_which_the_record_was_overwritten_is_not_taken_for_one_that_never_got_whole(
    driver_world: MakeWorld,
) -> None:
    # virt-manager and “virsh edit” write back all that they have read, some minutes later.
    forgotten = volume_name("debian", DEBIAN, Role.ROOT, "qcow2", 2)
    world = await driver_world([template(root(1), disk=1)], [root(1).name, KERNELS[0].name, forgotten])
    key = world.named("debian").key
    await world.lifecycle.start(key)
    assert world.named("debian").config.trial == 3
    await world.lifecycle.kill(key)
    await world.recovery.recover_all(world.uri)
    assert sorted(await world.volume_names()) == sorted([root(1).name, KERNELS[0].name, forgotten])


async def test_a_start_that_fails_takes_nothing_from_the_run_before_it(qemu_world: World) -> None:
    connection, key = qemu_world.hosts.connection(qemu_world.uri), DomainKey(qemu_world.uri, str(uuid.uuid4()))
    roots = (root(1), root(2, backing=root(1).name))
    base = await volume_store.create_volume(connection, root(1).name, 1 << 20)
    made = await volume_store.create_volume(connection, root(2).name, 0, backing=root(1).name)
    config = DomainConfig(klass=DomainClass.TEMPLATE, revision=1, volumes=roots)
    disks = (DiskSpec(made.path), DiskSpec(f"{base.path}.is-not-there", serial="other"))
    new = NewDomain("debian", config, key.uuid, virt_type="qemu", graphics=False, disks=disks)
    await define(connection, "debian", new.xml())
    await qemu_world.hosts.refresh(key)
    try:
        await actions_on(qemu_world.hosts, qemu_world.named("debian")).edit_config(
            lambda edit: edit.metadata().set_number("trial", 2)
        )
        with pytest.raises(HostCallFailed, match="is-not-there"):
            await connection.on_domain(key.uuid, "start", lambda domain: domain.create(), timeout=60)
        await qemu_world.hosts.refresh(key)
        settlement = await qemu_world.roots.settle(key)
        assert settlement
        assert settlement.outcome is Outcome.SET_ASIDE
        assert root(2).name in await qemu_world.volume_names()
    finally:
        await qemu_world.removal.remove(key)


async def test_who_begins_to_use_an_old_revision_while_it_is_tidied_keeps_it(
    driver_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tuple(root(n) for n in (1, 2, 3, 4))
    names = [v.name for v in (*roots, *KERNELS)]
    other = NewDomain("other", DomainConfig())
    world = await driver_world([template(*roots, disk=4, revision=4), app(), other], names)
    key, point_at_current = world.named("other").key, world.roots.point_at_current
    connection = world.hosts.connection(world.uri)
    disk = f"<disk type='file'><source file='{FOLDER}/{root(2).name}'/><target dev='vda'/></disk>"

    async def point_while_somebody_attaches(*words: Any) -> None:
        await point_at_current(*words)
        text = await stored_xml(connection, key.uuid, "other")
        await define(connection, "other", text.replace("</devices>", f"{disk}</devices>"))

    monkeypatch.setattr(world.roots, "point_at_current", point_while_somebody_attaches)
    assert await world.roots.tidy(world.named("debian").key) == [root(1).name]
    assert root(2).name in await world.volume_names()


async def test_no_other_disk_is_taken_for_the_system_and_none_writes_into_the_templates(
    driver_world: MakeWorld,
) -> None:
    private = DiskSpec(f"{FOLDER}/work.private.qcow2", serial="private")
    stick = DiskSpec("/stick.img", "raw")
    plain = DiskSpec(f"{FOLDER}/{root(1).name}")
    domains = [app(name=name, disks=disks) for name, disks in (("work", (private,)), ("usb", (stick, private)))]
    domains.append(app(name="plain", disks=(plain, private)))
    names = [v.name for v in (*ROOTS, *KERNELS)]
    world = await driver_world([template(*ROOTS, disk=2, revision=2), *domains], names)
    for name in ("work", "usb"):
        before = world.named(name).config.disks
        with pytest.raises(Refused, match=f"“{name}” has no disk any more that the system of its template could be"):
            await world.lifecycle.start(world.named(name).key)
        await world.hosts.refresh(world.named(name).key)
        assert world.named(name).config.disks == before
    assert await world.roots.tidy(world.named("debian").key) == [], "they keep nobody from tidying"
    await world.lifecycle.start(world.named("plain").key)
    system, own = world.named("plain").config.disks
    assert (system.source, system.transient) == (f"{FOLDER}/{root(2).name}", True)
    assert (own.source, own.transient) == (private.path, False)
