"""What is put in order after a crash, and what is left alone. Volumes and domains are real; no guest runs."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.storage.pools import add_pool, remove_pool
from qubes_manager.backend.user import creation_mark
from qubes_manager.backend.user.owner import owner
from qubes_manager.core.domain import UNREAD, Domain, DomainConfig, DomainKey, DomainState, Job
from qubes_manager.core.errors import NotFound
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.recovery import needs_recovery
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.volumes.volume_records import drop, put
from tests.services.conftest import World

# Their locks are the user's: another worker that runs such a test must not hold the same ones.
UUIDS = {name: str(uuid.uuid4()) for name in ("half", "heir")}
MINE, THEIRS = owner(), "somebody@elsewhere"
ROOT = OwnVolume(Role.ROOT, volume_store.POOL, "half.0123abcd.root.img")
PRIVATE = OwnVolume(Role.PRIVATE, volume_store.POOL, "half.0123abcd.private.img")
SEED = OwnVolume(Role.SEED, volume_store.POOL, "half.0123abcd.seed.img")


def domain(state: DomainState = DomainState.HALTED, **config: object) -> Domain:
    return Domain(DomainKey("x", "1"), "work", state, config=DomainConfig(**config))  # type: ignore[arg-type]


def unfinished(maker: str) -> tuple[OwnVolume, ...]:
    return (ROOT, replace(PRIVATE, unfinished=True, maker=maker))


@pytest.mark.parametrize(
    ("case", "needs"),
    [
        (domain(), False),
        (domain(volumes=(ROOT, PRIVATE)), False),
        (domain(job=Job.CREATE, job_by=MINE), True),
        # Nobody says that it was begun by a program of ours.
        (domain(job=Job.REMOVE), False),
        (domain(job=Job.CREATE, job_by=THEIRS), False),
        (domain(volumes=unfinished(MINE)), True),
        (domain(volumes=unfinished(THEIRS)), False),
        (domain(volumes=unfinished("")), False),
        (domain(DomainState.RUNNING, job=Job.CREATE, job_by=MINE), False),
        (domain(DomainState.PAUSED, volumes=unfinished(MINE)), False),
        (replace(domain(job=Job.CREATE, job_by=MINE), stale=True), False),
        (replace(domain(), config=UNREAD), False),
    ],
)
def test_only_ones_own_halted_domains_with_something_begun_need_it(case: Domain, needs: bool) -> None:
    assert needs_recovery(case) is needs


class Scene:
    """Makes domains whose volumes are there, as a program that died left them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.connection = world.hosts.connection(world.uri)

    async def leave(self, name: str, *, seen: bool = True, begun: bool = True, **config: object) -> DomainKey:
        made = DomainConfig(**config)  # type: ignore[arg-type]
        if made.job is Job.CREATE and begun:
            creation_mark.mark_begun(UUIDS[name])
        for volume in made.volumes:
            if volume.name not in await self.world.volume_names():
                await volume_store.create_volume(self.connection, volume.name, 1 << 20, image_format="raw")
        await define(self.connection, name, NewDomain(name, made, UUIDS[name], virt_type="qemu").xml())
        key = DomainKey(self.world.uri, UUIDS[name])
        if seen:
            await self.world.hosts.refresh(key)
        return key


@pytest.fixture
async def scene(qemu_world: World) -> AsyncIterator[Scene]:
    scene = Scene(qemu_world)
    yield scene
    for name in UUIDS:
        if found := qemu_world.store.named(qemu_world.uri, name):
            await qemu_world.removal.remove(found.key)


async def test_a_creation_that_was_begun_is_undone_whole(scene: Scene) -> None:
    await scene.leave("half", job=Job.CREATE, volumes=(replace(ROOT, unfinished=True), PRIVATE))
    assert await scene.world.recovery.recover_all(scene.world.uri) == ["half"]
    assert "half" not in await scene.world.names()
    assert await scene.world.volume_names() == []
    # There is nothing more to do.
    assert await scene.world.recovery.recover_all(scene.world.uri) == []


async def test_a_creation_that_is_undone_is_forgotten(scene: Scene) -> None:
    key = await scene.leave("half", job=Job.CREATE, volumes=(ROOT,))
    await scene.world.recovery.recover_all(scene.world.uri)
    assert not creation_mark.is_begun(key.uuid)


async def test_what_was_whole_is_not_undone_when_xml_from_its_creation_comes_back(scene: Scene) -> None:
    # An editor that was opened while it was made, and saved when it was whole.
    half = (replace(ROOT, unfinished=True), replace(PRIVATE, unfinished=True))
    key = await scene.leave("half", begun=False, job=Job.CREATE, volumes=half)
    done = await scene.world.recovery.recover(scene.world.store.require(key))
    assert done.startswith("“half” has a configuration back from before it was whole; ")
    config = scene.world.store.require(key).config
    assert (config.job, config.volumes) == (None, (ROOT, PRIVATE))
    assert await scene.world.volume_names() == sorted([ROOT.name, PRIVATE.name])
    assert not await scene.world.recovery.recover(scene.world.store.require(key))


async def test_of_a_creation_that_died_before_its_first_volume_nothing_stays(scene: Scene) -> None:
    key = await scene.leave("half", begun=False, job=Job.CREATE, volumes=(replace(ROOT, unfinished=True),))
    await volume_store.delete_volume(scene.connection, ROOT.pool, ROOT.name)
    assert await scene.world.recovery.recover(scene.world.store.require(key))
    assert "half" not in await scene.world.names()


@pytest.mark.parametrize("job", Job)
async def test_a_record_deletes_nothing_that_is_not_called_as_ours_are(scene: Scene, job: Job) -> None:
    """Whoever may define a domain writes what he likes into its record."""
    foreign = [replace(v, name=name) for v, name in ((ROOT, "thesis.qcow2"), (SEED, "a.root.img"))]
    await scene.leave("half", job=job, job_by=MINE, volumes=(*foreign, PRIVATE))
    await volume_store.delete_volume(scene.connection, PRIVATE.pool, PRIVATE.name)
    try:
        assert await scene.world.recovery.recover_all(scene.world.uri) == ["half"]
        assert await scene.world.volume_names() == ["a.root.img", "thesis.qcow2"]
        # Nor where the user asks for the domain's end.
        key = await scene.leave("half", volumes=tuple(foreign))
        loss = await scene.world.removal.describe_loss(scene.world.store.require(key))
        assert loss == "Its disks go with it: 0 B of data are lost."
        await scene.world.removal.remove(key)
        assert await scene.world.volume_names() == ["a.root.img", "thesis.qcow2"]
    finally:
        for volume in foreign:
            await volume_store.delete_volume(scene.connection, volume.pool, volume.name)


async def test_what_others_stand_on_stays_when_a_removal_is_finished(scene: Scene) -> None:
    await scene.leave("half", job=Job.REMOVE, volumes=(ROOT, SEED, PRIVATE))
    await scene.leave("heir", volumes=(replace(ROOT, role=Role.BASE),))
    # It had begun to delete: nobody has the domain whole any more.
    await volume_store.delete_volume(scene.connection, PRIVATE.pool, PRIVATE.name)
    assert await scene.world.recovery.recover_all(scene.world.uri) == ["half"]
    assert "half" not in await scene.world.names()
    assert await scene.world.volume_names() == [ROOT.name]


async def test_a_removal_that_has_deleted_nothing_is_called_off(scene: Scene) -> None:
    key = await scene.leave("half", job=Job.REMOVE, volumes=(ROOT, PRIVATE))
    done = await scene.world.recovery.recover(scene.world.store.require(key))
    assert done == "“half” was being removed when a program ended: it stays; remove it again if you like."
    config = scene.world.store.require(key).config
    assert (config.job, config.volumes) == (None, (ROOT, PRIVATE))
    assert await scene.world.volume_names() == sorted([ROOT.name, PRIVATE.name])


async def test_a_pool_that_is_there_again_leads_to_no_deletion(scene: Scene) -> None:
    far = replace(SEED, pool="far")
    key = await scene.leave("half", job=Job.REMOVE, volumes=(PRIVATE,))
    await actions_on(scene.world.hosts, scene.world.store.require(key)).edit_config(put(far))
    await volume_store.delete_volume(scene.connection, PRIVATE.pool, PRIVATE.name)
    done = await scene.world.recovery.recover(scene.world.store.require(key))
    assert f"it stays without {PRIVATE.name}, which was deleted by then" in done
    config = scene.world.store.require(key).config
    assert (config.job, config.volumes) == (None, (far,))
    # The user's next word decides, and it is not passed over that a volume cannot be found.
    with pytest.raises(NotFound, match="the host has no storage pool “far”: define it again"):
        await scene.world.removal.remove(key)
    assert not needs_recovery(scene.world.store.require(key))
    await actions_on(scene.world.hosts, scene.world.store.require(key)).edit_config(drop([far.name]))


async def test_what_was_being_made_in_a_pool_that_is_gone_stays_recorded(scene: Scene) -> None:
    far = replace(SEED, pool="far", unfinished=True, maker=MINE)
    key = await scene.leave("half", volumes=(ROOT,))
    await actions_on(scene.world.hosts, scene.world.store.require(key)).edit_config(put(far))
    await scene.world.hosts.refresh(key)
    assert await scene.world.recovery.recover_all(scene.world.uri) == []
    assert scene.world.store.require(key).config.volumes == (ROOT, far)
    await actions_on(scene.world.hosts, scene.world.store.require(key)).edit_config(drop([far.name]))


async def test_a_volume_that_never_got_whole_goes_and_its_domain_stays(scene: Scene) -> None:
    new = replace(ROOT, name="half.0123abcd.root.new.img", unfinished=True, maker=MINE)
    base = replace(new, name="half.0123abcd.base.img", role=Role.BASE)
    key = await scene.leave("half", volumes=(ROOT, new, base))
    assert await scene.world.recovery.recover_all(scene.world.uri) == ["half"]
    assert await scene.world.volume_names() == [ROOT.name]
    assert scene.world.store.require(key).config.volumes == (ROOT,)


async def test_the_last_volume_of_a_domain_whose_record_was_overwritten_stays(scene: Scene) -> None:
    # virt-manager read the XML while the volume was converted, and wrote it back when the old one was gone.
    new = replace(ROOT, name="half.0123abcd.root.new.img", unfinished=True, maker=MINE)
    key = await scene.leave("half", volumes=(ROOT, new))
    await volume_store.delete_volume(scene.connection, ROOT.pool, ROOT.name)
    done = await scene.world.recovery.recover(scene.world.store.require(key))
    assert "half.0123abcd.root.new.img has its data: give it that one (virsh edit half)" in done
    assert await scene.world.volume_names() == [new.name]
    assert scene.world.store.require(key).config.volumes == (ROOT, replace(new, unfinished=False, maker=""))
    assert not needs_recovery(scene.world.store.require(key))


async def test_a_removal_is_not_finished_while_a_folder_is_not_mounted(scene: Scene, shared_folder: Path) -> None:
    shared_folder.chmod(0o777)
    far, away = replace(PRIVATE, pool="far"), shared_folder / "away"
    await add_pool(scene.connection, "far", str(shared_folder / "far"))
    made = Path((await volume_store.create_volume(scene.connection, far.name, 1 << 20, pool="far")).path)
    try:
        key = await scene.leave("half", job=Job.REMOVE, volumes=(ROOT,))
        await actions_on(scene.world.hosts, scene.world.store.require(key)).edit_config(put(far))
        await scene.world.hosts.refresh(key)
        made.rename(away)
        await scene.connection.call("look", lambda raw: raw.storagePoolLookupByName("far").refresh())
        done = await scene.world.recovery.recover(scene.world.store.require(key))
        assert done == f"“half” was being removed when a program ended: it stays; {far.name} cannot be seen now."
        config = scene.world.store.require(key).config
        assert (config.job, config.volumes) == (None, (ROOT, far))
        assert await scene.world.volume_names() == [ROOT.name]
        away.rename(made)
        await scene.world.removal.remove(key)
        assert not made.exists()
    finally:
        await remove_pool(scene.connection, "far")


async def test_what_a_living_program_is_doing_is_left_alone(scene: Scene) -> None:
    key = await scene.leave("half", job=Job.CREATE, volumes=(ROOT,))
    # A lock is its process's: another one holds it here.
    hold = (
        "import asyncio, sys\n"
        "from qubes_manager.backend.user.domain_lock import domain_lock\n"
        "async def main():\n"
        f"    async with domain_lock({key.uuid!r}, 'half'):\n"
        "        print('held', flush=True); await asyncio.to_thread(sys.stdin.read)\n"
        "asyncio.run(main())\n"
    )
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    assert await asyncio.to_thread(other.stdout.readline) == b"held\n"
    try:
        assert not await scene.world.recovery.recover(scene.world.store.require(key))
        assert "half" in await scene.world.names()
    finally:
        other.kill()
        other.wait()
    # It has died: nobody else will finish it.
    assert await scene.world.recovery.recover(scene.world.store.require(key))
    assert "half" not in await scene.world.names()


async def test_what_was_finished_meanwhile_is_not_undone(scene: Scene) -> None:
    key = await scene.leave("half", job=Job.CREATE, volumes=(ROOT,))
    await scene.leave("half", seen=False, volumes=(ROOT,))
    assert not await scene.world.recovery.recover(scene.world.store.require(key))
    assert scene.world.store.require(key).config.volumes == (ROOT,)
