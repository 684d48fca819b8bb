"""Processes are killed before each step of each change: what is found then is the old state or the new one, whole."""

import asyncio
import multiprocessing
import os
import re
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import DomainClass, DomainKey, DomainState
from qubes_manager.core.volumes import Role, revisions
from qubes_manager.services.domains.caretaker import Caretaker
from tests.integration import crash
from tests.integration.conftest import World, remove_all
from tests.integration.disposables import keeping, layers
from tests.integration.monitor import quit_cleanly
from tests.integration.templates import make_tiny_template, pool_files
from tests.integration.test_templates import KEPT, app
from tests.waiting import soon

pytestmark = [pytest.mark.guest, pytest.mark.timeout(600)]
# Programs that are forked from one that has its modules loaded, which takes most of their time.
PROGRAMS = multiprocessing.get_context("forkserver")
PROGRAMS.set_forkserver_preload([crash.__name__])
MOST_CALLS = 60


class Scene:
    """A template and a domain from it, on a libvirtd that may be killed."""

    def __init__(self, daemon: PrivateDaemon, guest: TinyGuest, folder: Path) -> None:
        self.daemon = daemon
        self.started: set[tuple[str, str]] = set()
        self._guest = guest
        self._folder = folder

    async def look(self) -> World:
        """What a program that starts now sees, after it has put things in order."""
        world = World(self.daemon.uri, watch=False)
        await world.hosts.load(self.daemon.uri)
        await world.recovery.recover_all(world.uri)
        # The second look has nothing left to do.
        assert await world.recovery.recover_all(world.uri) == []
        await check_whole(world)
        return world

    async def reset(self) -> None:
        world = await self.look()
        await remove_all(world, KEPT)
        await make_tiny_template(world, self._guest, self._folder)
        await world.creation.create(world.uri, app("work"))
        await world.hosts.close()

    def run(self, victim: int, number: int, *operation: object) -> bool:
        """Do an operation and kill the victim before its N-th call; returns whether it got through without."""
        here, there = PROGRAMS.Pipe(duplex=False)
        words = (there, dict(os.environ), self.daemon.uri, victim, number, *operation)
        program = PROGRAMS.Process(target=crash.do, args=words)
        program.start()
        there.close()
        program.join(120)
        if program.exitcode is None:
            program.kill()
            pytest.fail("it hangs")
        if program.exitcode == -signal.SIGKILL:
            assert not victim
            return False
        calls, trouble = here.recv()
        if victim and calls >= number:
            self.daemon.crash()
            self.daemon.start()
            return False
        assert not trouble, trouble
        assert calls < number
        return True


async def check_whole(world: World) -> None:
    """Every volume that is recorded is there, every file in the pool is recorded, and nothing is half done."""
    domains = [d for d in world.store.domains.values() if d.is_read]
    records = [v for d in domains for v in d.config.volumes]
    assert not [v for v in records if v.unfinished]
    assert not [d.name for d in domains if d.config.job]
    named = {v.name for v in records}
    # The boot files of the demo guest belong to no single domain.
    found = {name for name in await pool_files(world) if not name.startswith("tiny-guest-")}
    running = {name for name in found if ".TRANSIENT-" in name}
    assert found - running == named
    for domain in domains:
        if domain.klass is DomainClass.TEMPLATE:
            assert domain.config.volume(Role.ROOT)


@pytest.fixture
async def scene(daemon: PrivateDaemon, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[Scene]:
    scene = Scene(daemon, tiny_guest, shared_folder)
    await scene.reset()
    yield scene
    world = await scene.look()
    await remove_all(world, KEPT)
    await world.hosts.close()


async def starts(scene: Scene, world: World, name: str) -> None:
    """The domain starts, as the next thing that a person does; what has started from the same state before need not."""
    key = world.existing(name).key
    state = (name, await fingerprint(world))
    if state in scene.started:
        return
    scene.started.add(state)
    await world.lifecycle.start(key)
    assert world.store.domains[key].state is DomainState.RUNNING
    await world.lifecycle.kill(key)
    await check_whole(world)


async def fingerprint(world: World) -> str:
    """All that could make a difference to a start: domains with their records, and the pool's files, without UUIDs."""
    parts = [str((d.name, d.state, d.config)) for d in world.store.domains.values() if d.name not in (*KEPT, "dom0")]
    text = "\n".join(sorted(parts) + await pool_files(world))
    own = {d.key.uuid: d.name for d in world.store.domains.values()}
    for uuid, name in own.items():
        text = text.replace(uuid, name).replace(uuid[:8], name)
    return re.sub(r"52:54:00(:..){3}|\b[0-9a-f]{4}\.qcow2", "", text)


# The operation, and the domain that must be there and start when it got through.
OPERATIONS: dict[str, tuple[tuple[object, ...], str]] = {
    "create": (("create", "made"), "made"),
    "clone": (("clone", "work", "copy"), "copy"),
    "clone a template": (("clone", "tiny", "copy"), "copy"),
    "clear": (("clear", "work"), "work"),
    "resize": (("resize", "work", "private", 128 << 20), "work"),
    "resize a template": (("resize", "tiny", "root", 64 << 20), "tiny"),
    "rename": (("rename", "work", "job"), "job"),
}


@pytest.mark.parametrize("victim", ["manager", "libvirtd"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_change_is_whole_or_not_there(scene: Scene, name: str, victim: str) -> None:
    operation, result = OPERATIONS[name]
    for number in range(1, MOST_CALLS):
        whom = scene.daemon.pid if victim == "libvirtd" else 0
        through = await asyncio.to_thread(scene.run, whom, number, *operation)
        world = await scene.look()
        names = {d.name for d in world.store.domains.values()} - {"dom0", *KEPT}
        assert names in ({"tiny", "work"}, {"tiny", "work", result}, {"tiny", result}), names
        await starts(scene, world, "work" if "work" in names else "job")
        if through:
            assert result in names
            await starts(scene, world, result)
            await world.hosts.close()
            return
        if result not in ("work", "tiny") and result in names:
            await remove_all(world, (*KEPT, "tiny", "work"))
            if "work" not in names:
                await world.creation.create(world.uri, app("work"))
        await world.hosts.close()
    pytest.fail("it never got through")


@pytest.mark.parametrize("victim", ["manager", "libvirtd"])
async def test_a_removal_is_whole_or_not_there(scene: Scene, victim: str) -> None:
    for number in range(1, MOST_CALLS):
        whom = scene.daemon.pid if victim == "libvirtd" else 0
        through = await asyncio.to_thread(scene.run, whom, number, "remove", "work")
        world = await scene.look()
        if world.named("work"):
            assert not through
            await starts(scene, world, "work")
        else:
            await world.creation.create(world.uri, app("work"))
        await world.hosts.close()
        if through:
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("victim", ["manager", "libvirtd"])
async def test_a_templates_run_begins_whole_or_not_at_all(scene: Scene, victim: str) -> None:
    for number in range(1, MOST_CALLS):
        whom = scene.daemon.pid if victim == "libvirtd" else 0
        through = await asyncio.to_thread(scene.run, whom, number, "start", "tiny")
        world = await scene.look()
        tiny = world.existing("tiny")
        if tiny.state.is_active:
            assert tiny.config.trial
            await world.lifecycle.kill(tiny.key)
        assert world.existing("tiny").config.revision == 1
        await check_whole(world)
        await starts(scene, world, "work")
        await world.hosts.close()
        if through:
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("victim", ["manager", "libvirtd"])
async def test_a_commit_is_whole_or_not_there(scene: Scene, victim: str) -> None:
    for number in range(1, MOST_CALLS):
        world = await scene.look()
        tiny = world.existing("tiny").key
        before = world.existing("tiny").config.revision
        await world.lifecycle.start(tiny)
        written = world.existing("tiny").config.trial
        await quit_cleanly(world, scene.daemon, tiny)
        await world.hosts.close()
        whom = scene.daemon.pid if victim == "libvirtd" else 0
        through = await asyncio.to_thread(scene.run, whom, number, "settle", "tiny")
        world = await scene.look()
        config = world.existing("tiny").config
        assert config.trial == 0
        # Where libvirtd forgot how the run ended, the new revision is kept beside the old one.
        assert config.revision in (before, written)
        assert written in [v.revision for v in revisions(config.volumes)]
        if victim == "manager" or through:
            assert config.revision == written
        await starts(scene, world, "work")
        await world.roots.tidy(tiny)
        await check_whole(world)
        await world.hosts.close()
        if through:
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("victim", ["manager", "libvirtd"])
async def test_a_merge_is_whole_or_not_there(scene: Scene, victim: str) -> None:
    for number in range(1, MOST_CALLS):
        world = await scene.look()
        tiny = world.existing("tiny").key
        while len([v for v in revisions(world.existing("tiny").config.volumes) if v.backing]) < 2:
            await world.lifecycle.start(tiny)
            await quit_cleanly(world, scene.daemon, tiny)
            await world.roots.settle(tiny)
        current = world.existing("tiny").config.revision
        await world.hosts.close()
        whom = scene.daemon.pid if victim == "libvirtd" else 0
        through = await asyncio.to_thread(scene.run, whom, number, "tidy", "tiny")
        world = await scene.look()
        assert world.existing("tiny").config.revision == current
        await starts(scene, world, "work")
        await world.hosts.close()
        if through:
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("victim", ["manager", "libvirtd"])
@pytest.mark.parametrize("operation", ["freeze", "dispose"])
async def test_of_a_disposable_that_was_being_made_or_ended_nothing_is_left(
    scene: Scene, operation: str, victim: str
) -> None:
    world = await scene.look()
    await world.properties.set_template_for_dispvms(world.existing("work").key, True)
    if operation == "dispose":
        await world.frozen_copies.renew(world.existing("work").key)
    await world.hosts.close()
    for number in range(1, MOST_CALLS):
        whom = scene.daemon.pid if victim == "libvirtd" else 0
        through = await asyncio.to_thread(scene.run, whom, number, operation, "work")
        world = await scene.look()
        async with keeping(world, {}):
            await world.until(partial(_is_clear, world), "all is gone")
        await check_whole(world)
        if through or number % 10 == 0:
            await starts(scene, world, "work")
        await world.hosts.close()
        if through:
            return
    pytest.fail("it never got through")


def _is_clear(world: World) -> bool:
    return not layers(world) and not any(d.klass is DomainClass.DISPOSABLE for d in world.store.domains.values())


async def test_qemu_is_killed_while_a_template_runs(scene: Scene) -> None:
    world = await scene.look()
    tiny = world.existing("tiny").key
    await world.lifecycle.start(tiny)
    os.kill(scene.daemon.qemu_pid("tiny"), signal.SIGKILL)
    async with soon():
        while world.store.domains[tiny].state.is_active:
            await asyncio.sleep(0.1)
            await world.hosts.refresh(tiny)
    world = await scene.look()
    config = world.existing("tiny").config
    assert (config.revision, config.trial, len(config.volumes)) == (1, 0, 3)
    await starts(scene, world, "tiny")
    await world.hosts.close()


async def test_twenty_domains_come_and_go_without_a_trace(scene: Scene) -> None:
    world = await scene.look()
    before = await pool_files(world)
    for number in range(20):
        key: DomainKey = await world.creation.create(world.uri, app(f"app{number}"))
        await world.removal.remove(key)
    assert await pool_files(world) == before
    await world.hosts.close()


async def is_half_made(uri: str, name: str) -> bool:
    """Whether the domain is there with a job that nobody has finished, as a program that starts now sees it."""
    world = World(uri, watch=False)
    await world.hosts.load(uri)
    found = world.named(name)
    await world.hosts.close()
    return bool(found and found.config and found.config.job)


async def test_an_open_window_leaves_a_change_alone_until_its_program_dies(scene: Scene) -> None:
    world = World(scene.daemon.uri)
    world.hosts.follow(world.uri)
    await world.until(lambda: world.named("work"), "the host has been read")
    for number in range(1, MOST_CALLS):
        assert not await asyncio.to_thread(scene.run, 0, number, "create", "made"), "no half-made domain was met"
        if await is_half_made(world.uri, "made"):
            break
    world.hosts.refresh_all()
    made = await world.appears("made")
    assert made.config and made.config.job
    recovered: list[str] = []
    # The program seems to live, since its lock is held; no event tells when it dies.
    async with domain_lock(made.key.uuid, "made"):
        caretaker = Caretaker(world.store, world.roots, world.recovery, world.volumes.to_qcow2, retry=0.3)
        caretaker.recovered.connect(recovered.append)
        work = asyncio.create_task(caretaker.run())
        await asyncio.sleep(1.5)
        assert world.named("made")
    await world.until(lambda: any("“made” was being made" in done for done in recovered), "it is undone, and said")
    assert not world.named("made")
    work.cancel()
    await world.hosts.close()
