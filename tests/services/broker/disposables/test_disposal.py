"""When the broker ends a disposable, and when it leaves it alone. Guests and windows are stand-ins."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import INTERNAL, Disposal, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import GuestError
from qubes_manager.services.broker.disposables import disposal
from qubes_manager.services.broker.disposables.disposal import DisposalKeeper
from qubes_manager.services.disposables.lease import first_program
from qubes_manager.services.hosts.store import DomainStore
from tests.waiting import until

URI = "test:///x"


def disposable(state: DomainState = DomainState.RUNNING, **config: Any) -> Domain:
    fields = {"klass": DomainClass.DISPOSABLE, "disposal": Disposal.HELD, "gui_port": True, **config}
    key = DomainKey(URI, str(uuid4()))
    return Domain(key, "disp1", state, id=1, persistent=False, config=DomainConfig(**fields))


class Scene:
    """A keeper over one disposable."""

    def __init__(self) -> None:
        self.store = DomainStore()
        self.windows: dict[str, int] = {}
        self.ended: list[DomainKey] = []
        self.cleared: list[DomainKey] = []
        self.swept = 0
        self.runs: bool | Exception = False
        self.asked = 0
        # Whose agent says nothing.
        self.silent: DomainKey | None = None
        self.keeper = DisposalKeeper(
            URI,
            self.store,
            self,  # type: ignore[arg-type]
            _Commands(self),  # type: ignore[arg-type]
            lambda uuid: self.windows.get(uuid, 0),
            0.05,
        )

    async def end(self, key: DomainKey) -> None:
        self.ended.append(key)
        self.store.remove([key])

    async def clear_up(self, domain: Domain) -> None:
        self.cleared.append(domain.key)

    async def sweep(self, _uri: str) -> None:
        self.swept += 1

    async def is_left_alone(self, domain: Domain) -> None:
        self.store.put([domain])
        await self.witnesses_end()
        assert self.ended == []

    async def witnesses_end(self) -> None:
        """Two that are of no use end, the second one after the first: what came before would have ended too."""
        for _ in range(2):
            witness = disposable()
            self.store.put([witness])
            await until(lambda key=witness.key: key in self.cleared)  # type: ignore[misc]
            self.ended.remove(witness.key)
            self.cleared.remove(witness.key)

    async def ends(self, domain: Domain) -> None:
        self.store.put([domain])
        await until(lambda: self.ended == [domain.key] == self.cleared)


class _Commands:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def runs(self, key: DomainKey, _number: int) -> bool:
        self._scene.asked += 1
        if key == self._scene.silent:
            await asyncio.Event().wait()
        if isinstance(self._scene.runs, Exception):
            raise self._scene.runs
        return self._scene.runs


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(disposal, "PAUSE", 0.02)
    scene = Scene()
    task = asyncio.create_task(scene.keeper.run())
    yield scene
    task.cancel()


async def test_without_program_and_window_it_ends_and_is_cleared_up(scene: Scene) -> None:
    assert scene.keeper.is_idle
    await scene.ends(disposable())
    await until(lambda: scene.keeper.is_idle)
    assert scene.swept == 1


async def test_who_looks_after_its_first_program_keeps_it(scene: Scene) -> None:
    domain = disposable()
    async with domain_lock(first_program(domain.key), "disp1", 0):
        await scene.is_left_alone(domain)
        assert not scene.keeper.is_idle
    await until(lambda: scene.ended)


async def test_windows_keep_it_and_the_patience_begins_anew_with_each(scene: Scene) -> None:
    domain = disposable()
    scene.windows[domain.key.uuid] = 1
    await scene.is_left_alone(domain)
    scene.windows.clear()
    await until(lambda: scene.ended)


@pytest.mark.parametrize("answer", [True, GuestError("no guest agent answers")])
async def test_a_program_that_runs_or_cannot_be_asked_after_keeps_it(scene: Scene, answer: bool | Exception) -> None:
    scene.runs = answer
    await scene.is_left_alone(disposable(program=7))
    assert scene.asked > 1
    scene.runs = False
    await until(lambda: scene.ended)


async def test_one_whose_agent_says_nothing_keeps_no_other_one_waiting(scene: Scene) -> None:
    evil, other = disposable(program=7), disposable(program=7)
    scene.silent = evil.key
    scene.store.put([evil])
    await until(lambda: scene.asked)
    await scene.ends(other)


async def test_one_that_cannot_be_asked_is_asked_less_and_less(scene: Scene) -> None:
    scene.runs = GuestError("no guest agent answers")
    domain = disposable(program=7)
    scene.store.put([domain])
    for times in (1, 2, 3):
        await until(lambda times=times: scene.keeper._pauses.get(domain.key, 0) == disposal.PAUSE * 2**times)  # type: ignore[misc]
    assert scene.asked == 3


async def test_one_that_stands_still_is_left_unless_it_was_getting_ready(scene: Scene) -> None:
    await scene.is_left_alone(disposable(DomainState.PAUSED))
    half_ready = disposable(DomainState.PAUSED, features=((INTERNAL, "1"),))
    await scene.ends(half_ready)


@pytest.mark.parametrize("kept", [Disposal.KEPT, Disposal.PRELOADED, None])
async def test_others_are_left_and_cleared_up_after_when_they_are_gone(scene: Scene, kept: Disposal | None) -> None:
    domain = disposable(disposal=kept)
    await scene.is_left_alone(domain)
    assert scene.keeper.is_idle
    scene.store.remove([domain.key])
    await until(lambda: scene.cleared == [domain.key])


async def test_what_is_no_disposable_is_none_of_its_business(scene: Scene) -> None:
    for other in (replace(disposable(), persistent=True), disposable(klass=DomainClass.APP)):
        await scene.is_left_alone(other)
        scene.store.remove([other.key])
    await scene.witnesses_end()
    assert scene.cleared == []
