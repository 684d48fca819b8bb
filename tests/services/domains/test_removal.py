"""When a domain is not taken away."""

import asyncio
import uuid
from typing import Any

import pytest

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.removal import Removal, refuse_removal
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.services.conftest import World


async def forget(domain: Domain) -> None:
    raise AssertionError(f"{domain.name} was forgotten")


async def test_a_domain_whose_volumes_are_not_known_yet_is_not_removed() -> None:
    store = DomainStore()
    unread = Domain(DomainKey("test:///x", "1"), "work", DomainState.HALTED)
    store.put([unread])
    with pytest.raises(Refused, match="“work” cannot be removed yet"):
        await Removal(Hosts(store, watch=False), store, forget).remove(unread.key)
    # Nor is it said that its disks stay, when nobody knows whose they are.
    with pytest.raises(Refused, match="has not been read"):
        await Removal(Hosts(store, watch=False), store, forget).describe_loss(unread)
    assert store.get(unread.key) == unread


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


async def test_who_was_made_of_it_while_the_lock_was_awaited_keeps_it(qemu_world: World) -> None:
    connection, uri = qemu_world.hosts.connection(qemu_world.uri), qemu_world.uri
    own, user = str(uuid.uuid4()), str(uuid.uuid4())
    root = OwnVolume(Role.ROOT, volume_store.POOL, "base.root.img")
    template = DomainConfig(klass=DomainClass.TEMPLATE, volumes=(root,))
    await define(connection, "base", NewDomain("base", template, own, virt_type="qemu").xml())
    key = DomainKey(uri, own)
    await qemu_world.hosts.refresh(key)
    async with domain_lock(own, "base"):
        going = asyncio.create_task(qemu_world.removal.remove(key))
        async with asyncio.timeout(10):
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
