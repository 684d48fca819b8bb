"""What the caretaker does and when. Recovery and roots are stand-ins, which are at work or fail as a test needs it;
with real ones it is in tests/integration/test_crashes.py."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from qubes_manager.backend.user.owner import owner
from qubes_manager.core.domain import Activity, Domain, DomainConfig, DomainKey, DomainState, Job
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.settlement import Outcome, Settlement
from qubes_manager.core.signal import Signal
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains import caretaker as module
from qubes_manager.services.domains.caretaker import Caretaker
from qubes_manager.services.hosts.store import DomainStore
from tests.build import domain
from tests.waiting import until

BROKEN = domain("broken", state=DomainState.HALTED, config=DomainConfig(job=Job.CREATE, job_by=owner()))
ENDED = domain("ended", state=DomainState.HALTED, config=DomainConfig(trial=2))
WHOLE = domain("whole", state=DomainState.HALTED)


class Roots:
    """Stands for the templates' roots."""

    def __init__(self) -> None:
        self.settled = Signal[Settlement]()
        self.tidied: list[str] = []

    async def tidy(self, key: DomainKey) -> None:
        self.tidied.append(key.uuid)
        if key.uuid == "fails":
            raise Refused("it is not to be")


class Recovery:
    """Puts a domain in order when nobody else is at work on it."""

    def __init__(self, store: DomainStore) -> None:
        self._store = store
        self.others_work = 0
        self.tried: list[str] = []

    async def recover(self, domain: Domain) -> str:
        self.tried.append(domain.name)
        if self.others_work:
            self.others_work -= 1
            return ""
        if domain.name == "fails":
            raise HostCallFailed("the host says no")
        self._store.put([replace(domain, config=DomainConfig())])
        return domain.name


class Scene:
    def __init__(self) -> None:
        self.store, self.roots = DomainStore(), Roots()
        self.recovery = Recovery(self.store)
        self.converted: list[DomainKey] = []
        self.caretaker = Caretaker(self.store, self.roots, self.recovery, self.convert, retry=0.02)  # type: ignore[arg-type]
        self.recovered: list[str] = []
        self.caretaker.recovered.connect(self.recovered.append)

    async def convert(self, key: DomainKey) -> None:
        self.converted.append(key)
        if key.uuid == "full":
            raise HostCallFailed("the pool is full")

    def settle(self, outcome: Outcome, uuid: str = "t") -> None:
        self.roots.settled.emit(Settlement(DomainKey("x", uuid), "t", outcome, 2, 2))

    async def rest(self) -> None:
        await asyncio.sleep(0.1)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    scene = Scene()
    working = asyncio.create_task(scene.caretaker.run())
    yield scene
    assert not working.done()
    working.cancel()


async def test_what_is_broken_is_put_in_order_and_said_to_be(scene: Scene) -> None:
    scene.store.put([BROKEN, WHOLE])
    await until(lambda: scene.recovered == ["broken"])
    await scene.rest()
    assert scene.recovery.tried == ["broken"]


async def test_a_templates_run_that_has_ended_is_settled_and_was_no_trouble(scene: Scene) -> None:
    scene.store.put([ENDED])
    await until(lambda: scene.recovery.tried == ["ended"])
    await scene.rest()
    assert scene.recovered == []


async def test_what_this_program_itself_is_doing_is_left_alone_until_it_is_done(scene: Scene) -> None:
    scene.store.put([replace(BROKEN, activity=Activity.REMOVING)])
    await scene.rest()
    assert scene.recovery.tried == []
    scene.store.put([BROKEN])
    await until(lambda: scene.recovered == ["broken"])


async def test_what_another_program_works_on_is_tried_again_until_that_one_is_gone(scene: Scene) -> None:
    scene.recovery.others_work = 3
    scene.store.put([BROKEN])
    await until(lambda: scene.recovered == ["broken"])
    assert scene.recovery.tried == ["broken"] * 4


async def test_a_domain_that_goes_meanwhile_is_forgotten(scene: Scene) -> None:
    scene.recovery.others_work = 1
    scene.store.put([BROKEN])
    await until(lambda: scene.recovery.tried)
    scene.store.remove([BROKEN.key])
    await scene.rest()
    assert scene.recovery.tried == ["broken"]


async def test_only_what_was_kept_makes_chains_longer_and_is_tidied(scene: Scene) -> None:
    for outcome, uuid in ((Outcome.DROPPED, "a"), (Outcome.SET_ASIDE, "b"), (Outcome.COMMITTED, "c")):
        scene.settle(outcome, uuid)
    await until(lambda: scene.roots.tidied)
    await scene.rest()
    assert scene.roots.tidied == ["c"]


async def test_raw_volumes_of_halted_domains_are_converted_once(scene: Scene) -> None:
    raw = DomainConfig(volumes=(OwnVolume(Role.ROOT, "p", "old.root.img"),))
    domains = [replace(WHOLE, key=DomainKey("x", uuid), config=raw) for uuid in ("full", "halted", "running")]
    domains[2] = replace(domains[2], state=DomainState.RUNNING)
    for _ in range(2):
        scene.store.put(domains)
        await until(lambda: len(scene.converted) >= 2)
        await scene.rest()
    assert sorted(key.uuid for key in scene.converted) == ["full", "halted"]


async def test_a_failure_is_logged_and_the_rest_is_done(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.store.put([replace(BROKEN, key=DomainKey("x", "0"), name="fails"), BROKEN])
    scene.settle(Outcome.COMMITTED, "fails")
    scene.settle(Outcome.COMMITTED, "t")
    await until(lambda: scene.recovered == ["broken"] and scene.roots.tidied == ["fails", "t"])
    assert "0: the host says no" in caplog.text
    assert "fails: it is not to be" in caplog.text
