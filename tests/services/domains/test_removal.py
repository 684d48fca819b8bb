"""When a domain is not taken away."""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.domains.domain_actions import DomainActions, define
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.interfaces import Interface
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.removal import Removal, netvm_users, refuse_removal
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.driver import FOLDER, write_host
from tests.services.conftest import MakeWorld, World
from tests.waiting import soon


async def forget(domain: Domain) -> None:
    raise AssertionError(f"{domain.name} was forgotten")


async def test_a_domain_whose_volumes_are_not_known_yet_is_not_removed() -> None:
    store = DomainStore()
    services = Services(Hosts(store, watch=False), store)
    removal = Removal(services.hosts, store, services.uses, services.roots, forget)
    unread = Domain(DomainKey("test:///x", "1"), "work", DomainState.HALTED)
    store.put([unread])
    with pytest.raises(Refused, match="“work” cannot be removed yet"):
        await removal.remove(unread.key)
    # Nor is it said that its disks stay, when nobody knows whose they are.
    with pytest.raises(Refused, match="has not been read"):
        await removal.describe_loss(unread)
    assert store.get(unread.key) == unread


async def test_of_a_domain_without_disks_none_is_said_to_stay(tmp_path: Path) -> None:
    store = DomainStore()
    services = Services(Hosts(store, watch=False), store)
    uri = write_host(tmp_path, [NewDomain("bare", DomainConfig())])
    await services.hosts.load(uri)
    bare = store.named(uri, "bare")
    assert bare
    assert await services.removal.describe_loss(bare) == "It has no disks."
    await services.hosts.close()


def test_removal_is_refused_while_others_need_the_domain() -> None:
    def domain(name: str, **config: Any) -> Domain:
        return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig(**config))

    template = domain("debian")
    users = [domain("b", template="debian"), domain("a", template="debian"), template]
    with pytest.raises(Refused, match="“debian” is the template of a, b: give them another one first"):
        refuse_removal(template, users)
    with pytest.raises(Refused, match="default dispvm of c"):
        refuse_removal(template, [domain("c", default_dispvm="debian")])
    refuse_removal(template, [template])
    disposable = replace(domain("disp7", template_uuid="debian", klass=DomainClass.DISPOSABLE), persistent=False)
    with pytest.raises(Refused, match="disposables of “debian” run, so it cannot be removed: end disp7 first"):
        refuse_removal(template, [disposable])


def test_whose_name_something_else_has_too_is_needed_by_nobody() -> None:
    def domain(name: str, **config: Any) -> Domain:
        return Domain(DomainKey("x", f"uuid of {name}"), name, DomainState.RUNNING, config=DomainConfig(**config))

    lan = (Interface("network", "default"),)
    users = [domain("a", interfaces=lan), domain("b", template="default", template_uuid="uuid of one that is gone")]
    halted = replace(domain("default"), state=DomainState.HALTED)
    refuse_removal(halted, users)
    assert netvm_users(halted, users) == []
    own = (Interface("user"),)
    client = domain(
        "c", interfaces=own, emulator="/x/qubes-manager/network/qemu", network="old name", network_uuid=halted.key.uuid
    )
    assert netvm_users(halted, [*users, client]) == ["c"]
    with pytest.raises(Refused, match="“default” is the netvm of c: give them another one first"):
        refuse_removal(halted, [*users, client])


async def test_who_was_made_of_it_while_the_lock_was_awaited_keeps_it(qemu_world: World) -> None:
    connection, uri = qemu_world.hosts.connection(qemu_world.uri), qemu_world.uri
    own, user = str(uuid.uuid4()), str(uuid.uuid4())
    root = OwnVolume(Role.ROOT, volume_store.POOL, "base.0123abcd.root.img")
    template = DomainConfig(klass=DomainClass.TEMPLATE, volumes=(root,))
    await define(connection, "base", NewDomain("base", template, own, virt_type="qemu").xml())
    key = DomainKey(uri, own)
    await qemu_world.hosts.refresh(key)
    async with domain_lock(own, "base"):
        going = asyncio.create_task(qemu_world.removal.remove(key))
        async with soon():
            while qemu_world.store.require(key).activity is None:
                await asyncio.sleep(0.01)
        made = DomainConfig(klass=DomainClass.APP, template="base", template_uuid=own)
        await define(connection, "work", NewDomain("work", made, user, virt_type="qemu").xml())
    try:
        with pytest.raises(Refused, match="“base” is the template of work"):
            await going
        assert {"base", "work"} <= await qemu_world.names()
    finally:
        for left in (user, own):
            await qemu_world.hosts.refresh(DomainKey(uri, left))
            await qemu_world.removal.remove(DomainKey(uri, left))


async def test_a_domain_that_somebody_starts_while_it_is_looked_at_keeps_its_volumes(
    driver_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = OwnVolume(Role.ROOT, volume_store.POOL, "work.root.qcow2")
    work = NewDomain("work", DomainConfig(volumes=(root,)), disks=(DiskSpec(f"{FOLDER}/{root.name}"),))
    world = await driver_world([work], [root.name])
    key = world.named("work").key

    async def is_started(*_words: object) -> None:
        # By virsh, which knows nothing of our locks, at the last moment.
        await world.hosts.connection(world.uri).on_domain(key.uuid, "start", lambda domain: domain.create())

    monkeypatch.setattr(DomainActions, "edit_metadata", is_started)
    with pytest.raises(Refused, match="“work” is running: shut it down first"):
        await world.removal.remove(key)
    await world.hosts.refresh(key)
    found = world.named("work")
    assert (found.state, found.persistent, found.config.job) == (DomainState.RUNNING, True, None)
    assert found.config.volumes == (root,)
    assert await world.volume_names() == [root.name]
