"""Disposables that have booted before anybody wants one: what becomes of one whose taker gives up, or comes late."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import cast

import pytest

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Disposal, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.services.disposables import preloaded
from qubes_manager.services.disposables.lease import first_program
from qubes_manager.services.disposables.preloaded import PreloadedDisposables
from qubes_manager.services.disposables.starting import DisposableStarts
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.waiting import PATIENCE

BASE = DomainKey("x", str(uuid.uuid4()))


class Scene:
    """One that is ready; stands for the hosts, for what starts disposables, and for what is done to the domain."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = DomainConfig(
            klass=DomainClass.DISPOSABLE, template_uuid=BASE.uuid, disposal=Disposal.PRELOADED, made_of="digest"
        )
        key = DomainKey("x", str(uuid.uuid4()))
        self.ready = Domain(key, "disp1", DomainState.PAUSED, 1, persistent=False, config=config)
        self.store = DomainStore()
        self.store.put([self.ready])
        self.done = list[str]()
        self.begun = list[DomainKey]()
        self.resuming = asyncio.Event()
        self.on_refresh: Callable[[], object] = lambda: None
        monkeypatch.setattr(preloaded, "actions_on", lambda _hosts, _domain: self)
        self.preloaded = PreloadedDisposables(
            cast(Hosts, self), self.store, cast(DisposableStarts, self), cast(GuestCommands, None)
        )

    async def take(self, held: AsyncExitStack) -> DomainKey | None:
        return await self.preloaded.take(BASE, held, self.begun.append)

    async def made_of(self, template: DomainKey, _progress: object) -> str:
        assert template == BASE
        return "digest"

    async def refresh(self, _key: DomainKey) -> None:
        self.on_refresh()

    async def edit_metadata(self, _change: object) -> None:
        self.done.append("edit")

    async def resume(self) -> None:
        self.resuming.set()
        await asyncio.Event().wait()

    async def kill(self) -> None:
        self.done.append("kill")


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def test_one_that_is_given_up_while_it_is_taken_is_ended(scene: Scene) -> None:
    """Nobody else would: its record says by then that it is in use, and it stands still."""
    async with AsyncExitStack() as held:
        taking = asyncio.create_task(scene.take(held))
        await asyncio.wait_for(scene.resuming.wait(), PATIENCE)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
    assert scene.begun == [scene.ready.key]
    assert scene.done == ["edit", "kill"]


async def test_one_that_somebody_lets_go_on_meanwhile_is_not_counted_and_not_held(scene: Scene) -> None:
    running = replace(scene.ready, state=DomainState.RUNNING)
    scene.on_refresh = lambda: scene.store.put([running])
    async with AsyncExitStack() as held:
        assert await scene.take(held) is None
        assert (scene.begun, scene.done) == ([], [])
        # Who let it go on can release it at once, not only when the block of another one has ended.
        async with domain_lock(first_program(scene.ready.key), "disp1", 0):
            pass
