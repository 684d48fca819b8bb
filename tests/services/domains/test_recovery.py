"""What is put in order after a crash, and what is left alone. Volumes and domains are real; no guest runs."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.owner import owner
from qubes_manager.core.domain import UNREAD, Domain, DomainConfig, DomainKey, DomainState, Job
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.recovery import needs_recovery
from tests.services.conftest import World

# Their locks are the user's: another worker that runs such a test must not hold the same ones.
UUIDS = {name: str(uuid.uuid4()) for name in ("half", "heir")}
MINE, THEIRS = owner(), "somebody@elsewhere"
ROOT = OwnVolume(Role.ROOT, volume_store.POOL, "half.root.img")
PRIVATE = OwnVolume(Role.PRIVATE, volume_store.POOL, "half.private.img")


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
        # Records of before makers were recorded.
        (domain(job=Job.REMOVE), True),
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

    async def leave(self, name: str, *, seen: bool = True, **config: object) -> DomainKey:
        made = DomainConfig(**config)  # type: ignore[arg-type]
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


async def test_what_others_stand_on_stays_when_a_removal_is_finished(scene: Scene) -> None:
    await scene.leave("half", job=Job.REMOVE, volumes=(ROOT, PRIVATE))
    await scene.leave("heir", volumes=(replace(ROOT, role=Role.BASE),))
    assert await scene.world.recovery.recover_all(scene.world.uri) == ["half"]
    assert await scene.world.volume_names() == [ROOT.name]


async def test_a_volume_that_never_got_whole_goes_and_its_domain_stays(scene: Scene) -> None:
    key = await scene.leave("half", volumes=(ROOT, replace(PRIVATE, unfinished=True, maker=MINE)))
    assert await scene.world.recovery.recover_all(scene.world.uri) == ["half"]
    assert await scene.world.volume_names() == [ROOT.name]
    assert scene.world.store.require(key).config.volumes == (ROOT,)


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
        assert await scene.world.recovery.recover(scene.world.store.require(key)) is False
        assert "half" in await scene.world.names()
    finally:
        other.kill()
        other.wait()
    # It has died: nobody else will finish it.
    assert await scene.world.recovery.recover(scene.world.store.require(key)) is True
    assert "half" not in await scene.world.names()


async def test_what_was_finished_meanwhile_is_not_undone(scene: Scene) -> None:
    key = await scene.leave("half", job=Job.CREATE, volumes=(ROOT,))
    await scene.leave("half", seen=False, volumes=(ROOT,))
    assert await scene.world.recovery.recover(scene.world.store.require(key)) is False
    assert scene.world.store.require(key).config.volumes == (ROOT,)
