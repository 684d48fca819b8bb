"""Whose doing disposables are, and how many of one domain's there may be."""

from uuid import uuid4

import pytest

from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.lineage import MOST, Kin, Lineage
from qubes_manager.services.hosts.store import DomainStore

URI = "test:///x"


class World:
    def __init__(self) -> None:
        self.store = DomainStore()
        self.lineage = Lineage(self.store)

    def make(self, maker: DomainKey) -> DomainKey:
        key = DomainKey(URI, str(uuid4()))
        with self.lineage.place(maker) as note:
            self.store.put([Domain(key, f"disp-{key.uuid}", DomainState.RUNNING)])
            note(key)
        return key


@pytest.fixture
async def world() -> World:
    return World()


async def test_what_a_disposable_has_made_is_its_makers_doing(world: World) -> None:
    work = DomainKey(URI, str(uuid4()))
    inner = world.make(first := world.make(work))
    world.store.remove([first])
    assert world.lineage.kin(work) == Kin(work, False)
    assert world.lineage.kin(inner) == Kin(work, True)


async def test_there_are_only_so_many_however_they_come_to_be(world: World) -> None:
    evil = DomainKey(URI, str(uuid4()))
    first = world.make(evil)
    made = [world.make(first)]
    # Each makes more, which make more.
    with pytest.raises(Refused, match=f"{MOST} disposables run already"):
        while True:
            made.append(world.make(made[-1]))
    assert len(made) == MOST
    world.store.remove([made[0]])
    world.make(made[1])
    # Nobody else has fewer for it, nor has who made the first.
    world.make(DomainKey(URI, str(uuid4())))
    world.make(evil)


async def test_what_one_does_while_it_boots_is_its_makers_doing(world: World) -> None:
    evil, booting = DomainKey(URI, str(uuid4())), DomainKey(URI, str(uuid4()))
    with world.lineage.place(evil) as note:
        # libvirt does not know it yet.
        note(booting)
        inner = world.make(booting)
        assert world.lineage.kin(booting) == world.lineage.kin(inner) == Kin(evil, True)


async def test_those_that_are_being_made_count_and_those_that_failed_do_not(world: World) -> None:
    work = DomainKey(URI, str(uuid4()))
    places = [world.lineage.place(work) for _ in range(MOST)]
    for place in places:
        place.__enter__()
    with pytest.raises(Refused):
        world.make(work)
    for place in places:
        place.__exit__(None, None, None)
    world.make(work)
