"""How many disposables are kept ready, and when one is made. Those that make them are stand-ins."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.core.disposables import PRELOAD_MAX
from qubes_manager.core.domain import INTERNAL, Disposal, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import GuestError, NotFound
from qubes_manager.services.broker.disposables import preload
from qubes_manager.services.broker.disposables.preload import PreloadKeeper
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.store import DomainStore
from tests.waiting import until

URI = "test:///x"
BASE = DomainKey(URI, "base")


class Scene:
    """One disposable template; *free* MiB of 16 GiB are free, and each disposable takes 1,000 of them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = DomainStore()
        self.defaults = GlobalDefaults(folder / "defaults.yaml")
        self.defaults.set("preload_dispvm_delay", "0")
        self.free = 9000
        self.fails = False
        self.broken: set[DomainKey] = set()
        self.booted: list[float] = []
        self.looks = 0
        self.state = "as it is"
        monkeypatch.setattr(preload, "read_memory", self._read_memory)
        parts: Any = self
        self.keeper = PreloadKeeper(URI, parts, self.store, parts, parts, parts, self.defaults, look=0.05)

    def wants(self, count: int, template: DomainKey = BASE) -> None:
        features = ((PRELOAD_MAX, str(count)),) if count else ()
        config = DomainConfig(
            klass=DomainClass.APP, template_for_dispvms=True, features=features, initial_memory_kib=1000 << 10
        )
        self.store.put([Domain(template, template.uuid, DomainState.HALTED, config=config)])

    @property
    def waiting(self) -> list[str]:
        return [d.config.made_of for d in self.store.domains.values() if d.is_preloaded]

    # What the keeper uses.

    def connection(self, _uri: str) -> None:
        return None

    async def _read_memory(self, _connection: object) -> tuple[int, int]:
        return 16 << 10, self.free

    def templates(self, _uri: str) -> list[Domain]:
        # Asked for at the beginning of each look.
        self.looks += 1
        return [d for d in self.store.domains.values() if d.config.template_for_dispvms]

    async def made_of(self, key: DomainKey, _progress: object) -> str:
        if key in self.broken:
            raise NotFound("its pool is gone")
        return self.state

    async def boot(self, template: DomainKey) -> DomainKey:
        self.booted.append(asyncio.get_running_loop().time())
        if self.fails:
            raise GuestError("it does not boot")
        key = DomainKey(URI, f"disp{len(self.booted)}")
        config = DomainConfig(
            klass=DomainClass.DISPOSABLE,
            disposal=Disposal.PRELOADED,
            template_uuid=template.uuid,
            features=((INTERNAL, "1"),),
            made_of=self.state,
        )
        self.free -= 1000
        self.store.put([Domain(key, key.uuid, DomainState.PAUSED, id=1, persistent=False, config=config)])
        return key

    async def drop(self, key: DomainKey) -> bool:
        self.free += 1000
        self.store.remove([key])
        return True

    async def looked(self) -> None:
        """One whole look that began after this was called, and has ended."""
        seen = self.looks
        await until(lambda: self.looks >= seen + 2)

    async def use(self) -> None:
        await self.drop(next(d.key for d in self.store.domains.values() if d.is_preloaded))


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, monkeypatch)
    task = asyncio.create_task(scene.keeper.run())
    yield scene
    task.cancel()


async def test_as_many_as_are_wanted_are_ready_and_no_more(scene: Scene) -> None:
    scene.wants(0)
    await scene.looked()
    assert scene.booted == []
    assert scene.keeper.is_idle
    scene.wants(3)
    await until(lambda: len(scene.waiting) == 3)
    assert not scene.keeper.is_idle
    scene.wants(1)
    await until(lambda: len(scene.waiting) == 1)
    scene.wants(0)
    await until(lambda: not scene.waiting and scene.keeper.is_idle)


async def test_memory_that_is_to_stay_free_is_not_taken(scene: Scene) -> None:
    scene.free = 3500
    scene.wants(5)
    # 1,000 stay free on a machine of 16 GiB.
    await until(lambda: len(scene.waiting) == 2)
    await scene.looked()
    assert len(scene.waiting) == 2
    scene.defaults.set("preload_dispvm_threshold", "400")
    await until(lambda: len(scene.waiting) == 3)


async def test_one_that_was_used_is_replaced_after_the_delay(scene: Scene) -> None:
    scene.defaults.set("preload_dispvm_delay", "0.5")
    scene.wants(1)
    await until(lambda: len(scene.waiting) == 1)
    await scene.looked()
    begun = asyncio.get_running_loop().time()
    await scene.use()
    await until(lambda: len(scene.booted) == 2)
    assert scene.booted[-1] - begun >= 0.5


async def test_with_a_negative_delay_the_last_one_must_be_used_first(scene: Scene) -> None:
    scene.wants(2)
    await until(lambda: len(scene.waiting) == 2)
    scene.defaults.set("preload_dispvm_delay", "-1")
    # It may be at work by what it read before.
    await scene.looked()
    await scene.use()
    await scene.looked()
    assert len(scene.waiting) == 1
    await scene.use()
    await until(lambda: len(scene.booted) == 3)


async def test_those_that_would_come_out_otherwise_now_are_made_anew(scene: Scene) -> None:
    scene.wants(2)
    await until(lambda: len(scene.waiting) == 2)
    scene.state = "changed"
    await until(lambda: scene.waiting == ["changed", "changed"])


async def test_one_that_does_not_boot_is_not_tried_again_at_once(scene: Scene) -> None:
    scene.fails = True
    scene.wants(1)
    await until(lambda: scene.booted)
    await scene.looked()
    assert len(scene.booted) == 1


async def test_a_template_that_is_broken_keeps_no_other_from_having_some_ready(scene: Scene) -> None:
    scene.wants(1)
    await until(lambda: len(scene.waiting) == 1)
    scene.broken.add(BASE)
    scene.wants(1, DomainKey(URI, "other"))
    await until(lambda: len(scene.waiting) == 2)
