"""Templates and the domains made from them, on real guests: what persists, what does not, and what a crash leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.settlement import Outcome, Settlement
from qubes_manager.core.volumes import Role, revisions
from tests.integration.conftest import Run, World, remove_all
from tests.integration.templates import make_tiny_template, pool_files, say

pytestmark = pytest.mark.guest
# What other tests share.
KEPT = ("shared", "debian", "trixie")


def app(name: str, template: str = "tiny", **changes: Any) -> CreationRequest:
    fields: dict[str, Any] = {"klass": DomainClass.APP, "template": template, "memory": 256, "vcpus": 1, "netvm": ""}
    return CreationRequest(name, "blue", **{**fields, "graphics": False, "private_size": 64 << 20, **changes})


@pytest.fixture
async def template(world: World, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[DomainKey]:
    """A template of a test's own; all that the test makes from it goes too."""
    before = await pool_files(world)
    key = await make_tiny_template(world, tiny_guest, shared_folder)
    yield key
    await remove_all(world, KEPT)
    assert await pool_files(world) == before, "nothing is left in the pool"


async def write_in_template(world: World, template: DomainKey, text: str) -> None:
    """Run the template, write a file into its system, shut it down cleanly."""
    await world.lifecycle.start(template)
    await say(world, template, f"echo {text} >/sys_root/file; umount /sys_root; sync")
    await world.lifecycle.shutdown(template, 60)


async def test_a_domain_starts_afresh_from_its_template_and_keeps_only_its_own_data(
    world: World, template: DomainKey
) -> None:
    work = await world.creation.create(world.uri, app("work"))
    mail = await world.creation.create(world.uri, app("mail"))
    await asyncio.gather(world.lifecycle.start(work), world.lifecycle.start(mail))
    await say(
        world,
        work,
        "[ -b /dev/vdb ] && printf mine | dd of=/dev/vdb conv=fsync; echo x >/sys_root/lost; umount /sys_root; sync",
    )
    assert await say(world, mail, "ls /sys_root") == "lost+found"
    await world.lifecycle.restart(work, 60)
    assert await say(world, work, "head -c 4 /dev/vdb; echo; ls /sys_root") == "mine\nlost+found"


async def test_a_template_is_changed_while_its_domains_run(world: World, template: DomainKey) -> None:
    work = await world.creation.create(world.uri, app("work"))
    await world.lifecycle.start(work)
    await say(world, work, "true")
    assert not world.store.domains[work].outdated
    await write_in_template(world, template, "new")
    config = world.store.domains[template].config
    assert (config.revision, config.trial, len(revisions(config.volumes))) == (2, 0, 2)
    await world.until(lambda: world.store.domains[work].outdated, "the row says that a restart would update it")
    # So does that of a program that is started now.
    late = World(world.uri, watch=False)
    await late.hosts.load(world.uri)
    assert late.store.domains[work].outdated
    await late.hosts.close()
    assert await say(world, work, "ls /sys_root") == "lost+found"
    await world.lifecycle.restart(work, 60)
    assert await say(world, work, "cat /sys_root/file") == "new"
    await world.until(lambda: not world.store.domains[work].outdated, "it is up to date")


async def test_a_killed_template_keeps_its_old_revision_and_says_so(world: World, template: DomainKey) -> None:
    heard: list[Settlement] = []
    world.roots.settled.connect(heard.append)
    before = await pool_files(world)
    await world.lifecycle.start(template)
    assert world.store.domains[template].config.trial == 2
    await world.lifecycle.kill(template)
    config = world.store.domains[template].config
    assert (config.revision, config.trial, len(config.volumes)) == (1, 0, 3)
    assert [s.outcome for s in heard] == [Outcome.DROPPED]
    assert "did not shut down properly" in heard[0].sentence
    assert await pool_files(world) == before


async def end_unseen(world: World, template: DomainKey, text: str) -> None:
    """Let the template write a file and shut down, with nobody there who settles its run."""
    await world.lifecycle.start(template)
    await say(world, template, f"echo {text} >/sys_root/file; umount /sys_root; sync")
    await world.lifecycle.request_shutdown(template)
    await world.until(lambda: not world.store.domains[template].state.is_active, "it has shut down")
    assert world.store.domains[template].config.trial


async def test_a_run_that_a_creation_settles_is_told_and_tidied(world: World, template: DomainKey, run: Run) -> None:
    heard: list[Settlement] = []
    world.roots.settled.connect(heard.append)
    await end_unseen(world, template, "two")
    await world.creation.create(world.uri, app("work"))
    assert [(s.outcome, s.current) for s in heard] == [(Outcome.COMMITTED, 2)]
    # A command says it on stderr, and merges the chain of three that is longer than what is kept.
    await end_unseen(world, template, "three")
    done = run("qvm-create", "--label", "red", "--template", "tiny", "--prop", "memory=256", "mail")
    assert done.returncode == 0, done.stderr
    assert "“tiny” has a new revision 3" in done.stderr
    await world.hosts.refresh(template)
    config = world.store.domains[template].config
    root = config.volume(Role.ROOT)
    assert root and (root.revision, root.backing) == (3, "")
    await world.appears("mail")


async def test_what_somebody_else_made_meanwhile_is_not_tidied_away(world: World, template: DomainKey) -> None:
    for text in ("two", "three"):
        await write_in_template(world, template, text)
    # A program that reads once what there is, and takes its time.
    slow = World(world.uri, watch=False)
    await slow.hosts.load(world.uri)
    copy = await world.cloning.clone(template, "copy")
    root = world.store.domains[copy].config.volume(Role.ROOT)
    assert root and root.backing
    await slow.roots.tidy(template)
    await slow.hosts.close()
    assert root.backing in await pool_files(world)
    await world.lifecycle.start(copy)
    assert await say(world, copy, "cat /sys_root/file") == "three"
    await world.lifecycle.kill(copy)


async def test_a_start_that_fails_leaves_the_template_as_it_was(
    world: World, template: DomainKey, daemon: PrivateDaemon
) -> None:
    from qubes_manager.services.hosts.domain_access import actions_on

    before = await pool_files(world)
    actions = actions_on(world.hosts, world.store.domains[template])
    await actions.edit_config(lambda e: e.set_initial_memory(1 << 40))
    with pytest.raises(Exception, match="cannot start “tiny”"):
        await world.lifecycle.start(template)
    config = world.store.domains[template].config
    assert (config.revision, config.trial, len(config.volumes)) == (1, 0, 3)
    assert await pool_files(world) == before
    await actions.edit_config(lambda e: e.set_maximum_memory(256 << 10))


async def test_revisions_go_back_and_forth_and_old_ones_are_merged(world: World, template: DomainKey) -> None:
    for text in ("two", "three"):
        await write_in_template(world, template, text)
    with pytest.raises(BadInput, match="has 1, 2, 3"):
        await world.roots.revert(template, 9)
    assert await world.roots.revert(template) == 2
    work = await world.creation.create(world.uri, app("work"))
    await world.lifecycle.start(work)
    assert await say(world, work, "cat /sys_root/file") == "two"
    assert await world.roots.revert(template, 3) == 3
    # A chain of three is longer than the two that are kept: the current one is made whole, the oldest goes.
    await world.roots.tidy(template)
    volumes = world.store.domains[template].config.volumes
    assert [v.revision for v in revisions(volumes)] == [2, 3]
    assert not next(v for v in volumes if v.role is Role.ROOT and v.revision == 3).backing
    assert await say(world, work, "cat /sys_root/file") == "two", "a running domain did not notice"
    await world.lifecycle.restart(work, 60)
    assert await say(world, work, "cat /sys_root/file") == "three"
    await world.lifecycle.kill(work)
    await write_in_template(world, template, "four")
    await world.roots.tidy(template)
    volumes = world.store.domains[template].config.volumes
    assert [v.revision for v in revisions(volumes)] == [3, 4]
    assert not [v for v in volumes if v.role is Role.BASE], "what only revision 2 stood on is gone"


async def test_a_template_in_use_is_not_removed_and_a_clone_outlives_its_original(
    world: World, template: DomainKey
) -> None:
    work = await world.creation.create(world.uri, app("work"))
    with pytest.raises(Refused, match="“tiny” is the template of work"):
        await world.removal.remove(template)
    await write_in_template(world, template, "original")
    copy = await world.cloning.clone(template, "copy")
    await world.properties.set_template(work, "copy")
    await world.removal.remove(template)
    assert not world.named("tiny")
    await world.lifecycle.start(work)
    assert await say(world, work, "cat /sys_root/file") == "original"
    await world.lifecycle.kill(work)
    await write_in_template(world, copy, "copied")
    await world.roots.tidy(copy)
    await world.lifecycle.start(work)
    assert await say(world, work, "cat /sys_root/file") == "copied"


async def test_a_renamed_template_is_still_the_template(world: World, template: DomainKey) -> None:
    work = await world.creation.create(world.uri, app("work"))
    await world.properties.rename(template, "other")
    await world.until(lambda: world.store.domains[work].config.template == "other", "the row has the new name")
    await world.lifecycle.start(work)
    assert world.store.domains[work].state is DomainState.RUNNING


async def test_an_encrypted_domain_asks_for_its_passphrase_at_each_start(
    world: World, template: DomainKey, run: Run
) -> None:
    create = ["qvm-create", "--label", "red", "--template", "tiny", "--encrypt", "--private-size", "64M"]
    done = await asyncio.to_thread(run, *create, "--prop", "memory=256", "vault", data="correct horse\n")
    assert done.returncode == 0, done.stderr
    vault = await world.appears("vault")
    assert "encrypted" in (await asyncio.to_thread(run, "qvm-start", "vault")).stderr
    wrong = await asyncio.to_thread(run, "qvm-start", "vault", data="wrong horse\n")
    assert (wrong.returncode, wrong.stderr) == (1, "qvm-start: cannot start “vault”: that passphrase is wrong\n")
    right = await asyncio.to_thread(run, "qvm-start", "vault", data="correct horse\n")
    assert right.returncode == 0, right.stderr
    await say(world, vault.key, "printf the-plain-text | dd of=/dev/vdb conv=fsync; umount /sys_root")
    private = next(v for v in await world.volumes.list(world.store.require(vault.key)) if v.role is Role.PRIVATE)
    name = private.record.name
    path = await world.hosts.connection(world.uri).call(
        "find it", lambda raw: raw.storagePoolLookupByName("qubes-manager").storageVolLookupByName(name).path()
    )
    assert b"the-plain-text" not in await asyncio.to_thread(Path(path).read_bytes)
    assert await say(world, vault.key, "head -c 14 /dev/vdb") == "the-plain-text"
    secrets = await world.hosts.connection(world.uri).call("list secrets", lambda raw: raw.listSecrets())
    assert secrets == [], "libvirt has forgotten the passphrase"


async def test_leftovers_of_a_crashed_host_do_not_keep_a_domain_from_starting(
    world: World, template: DomainKey, daemon: PrivateDaemon
) -> None:
    import os
    import signal

    work = await world.creation.create(world.uri, app("work"))
    await world.lifecycle.start(work)
    await say(world, work, "true")
    pid = daemon.qemu_pid("work")
    daemon.crash()
    os.kill(pid, signal.SIGKILL)
    assert any(".TRANSIENT-work" in name for name in await asyncio.to_thread(os.listdir, _pool(daemon)))
    daemon.start()
    await world.until(
        lambda: not world.store.domains[work].stale and not world.store.domains[work].state.is_active,
        "it is known to be off",
    )
    await world.lifecycle.start(work)
    assert await say(world, work, "ls /sys_root") == "lost+found"
    # The guest that other tests share did not outlive the crash of its host as far as its tests are concerned.


def _pool(daemon: PrivateDaemon) -> Path:
    return daemon.folder / "data/qubes-manager/volumes"
