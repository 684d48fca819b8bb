"""Templates that somebody starts without this program: nothing of it reaches the revision that domains start from."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.settlement import needs_guard
from qubes_manager.core.volumes import Role
from qubes_manager.services.hosts.domain_access import actions_on
from tests.integration.conftest import World, remove_all
from tests.integration.templates import make_tiny_template, pool_files, say
from tests.integration.test_templates import KEPT

pytestmark = pytest.mark.guest


@pytest.fixture
async def template(world: World, tiny_guest: TinyGuest, shared_folder: Path) -> AsyncIterator[DomainKey]:
    """A template of a test's own, which goes with all that was made of it."""
    before = await pool_files(world)
    key = await make_tiny_template(world, tiny_guest, shared_folder)
    yield key
    await remove_all(world, KEPT)
    assert await pool_files(world) == before, "nothing is left in the pool"


async def an_app(world: World, name: str = "work") -> DomainKey:
    small = CreationRequest(
        name, "blue", klass=DomainClass.APP, template="tiny", memory=256, vcpus=1, netvm="", graphics=False
    )
    return await world.creation.create(world.uri, small)


async def start_by_virsh(world: World, key: DomainKey) -> None:
    """What ``virsh start`` and autostart do."""
    await world.hosts.connection(world.uri).on_domain(key.uuid, "start", lambda domain: domain.create(), timeout=60)

    def is_told() -> bool:
        domain = world.store.domains[key]
        return domain.state is DomainState.RUNNING and bool(domain.stray_run)

    await world.until(is_told, "the row says that somebody else started it")


async def digest_of_root(world: World, key: DomainKey) -> str:
    root = world.store.domains[key].config.volume(Role.ROOT)
    assert root
    connection = world.hosts.connection(world.uri)
    path = await connection.call(
        "find", lambda raw: raw.storagePoolLookupByName(root.pool).storageVolLookupByName(root.name).path()
    )
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


async def keep_what_is_written(world: World, key: DomainKey) -> None:
    """Let the template be as one that was made before this program took care of such starts."""

    def edit(document: DomainEdit) -> None:
        document.set_disk_transient("vda", False)

    await actions_on(world.hosts, world.store.domains[key]).edit_config(edit)
    await world.hosts.refresh(key)


async def test_what_a_template_writes_that_others_started_is_gone_and_domains_start_meanwhile(
    world: World, template: DomainKey
) -> None:
    before, work = await digest_of_root(world, template), await an_app(world)
    await start_by_virsh(world, template)
    assert world.store.domains[template].state_text == "Running: its changes are not kept"
    await say(world, template, "echo stray >/sys_root/file; umount /sys_root; sync")
    await world.lifecycle.start(work)
    assert world.store.domains[work].state is DomainState.RUNNING
    await world.lifecycle.shutdown(template, 60)
    assert await digest_of_root(world, template) == before
    config = world.store.domains[template].config
    assert (config.revision, config.trial) == (1, 0)
    # A start by this program makes a revision, as ever, and is no stray one.
    await world.lifecycle.start(template)
    assert (world.store.domains[template].config.trial, world.store.domains[template].stray_run) == (2, "")


async def test_a_template_of_before_is_named_while_it_writes_and_guarded_when_it_has_ended(
    world: World, template: DomainKey
) -> None:
    work = await an_app(world)
    await keep_what_is_written(world, template)
    await start_by_virsh(world, template)
    assert world.store.domains[template].state_text == "Running: it writes into its current revision"
    with pytest.raises(HostCallFailed, match=r"cannot start “work”: “tiny” has .*root@1\.qcow2 open: end that first"):
        await world.lifecycle.start(work)
    await world.lifecycle.kill(template)
    assert needs_guard(world.store.domains[template])
    await world.recovery.recover_all(world.uri)
    assert not needs_guard(world.store.domains[template])
    await start_by_virsh(world, template)
    assert world.store.domains[template].state_text == "Running: its changes are not kept"
    await world.lifecycle.start(work)
    assert world.store.domains[work].state is DomainState.RUNNING


async def test_whatever_is_done_to_a_template_leaves_it_guarded(world: World, template: DomainKey) -> None:
    async def is_guarded(key: DomainKey) -> bool:
        await world.hosts.refresh(key)
        disk = world.store.domains[key].config.disk(Role.ROOT)
        return bool(disk and disk.transient)

    assert await is_guarded(template), "made"
    copy = await world.cloning.clone(template, "copy")
    assert await is_guarded(copy), "cloned"
    await world.volumes.resize(template, "root", 64 << 20)
    assert await is_guarded(template), "enlarged"
    await world.roots.revert(template, 1)
    assert await is_guarded(template), "gone back"
    await world.lifecycle.start(template)
    assert not await is_guarded(template), "its run is to be kept"
    running = await world.cloning.clone(template, "other")
    assert await is_guarded(running), "cloned while it runs"
    await world.lifecycle.kill(template)
    assert await is_guarded(template), "dropped"
    made = CreationRequest("own", "blue", template="tiny", memory=256, vcpus=1, netvm="", graphics=False)
    own = await world.creation.create(world.uri, made)
    assert not await is_guarded(own), "what is no template keeps what it writes"
    await world.promotion.to_template(own)
    assert await is_guarded(own), "promoted"
