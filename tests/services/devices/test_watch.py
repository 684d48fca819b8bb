"""What devices there are, followed: one thing that happens is told once, and nothing is told that did not happen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import HostUnreachable, Refused
from qubes_manager.core.events import HostEventKind
from qubes_manager.core.hardware import Disk
from qubes_manager.services.devices import watch as module
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.watch import FLAPPING, NEW, DeviceNews, DeviceWatch, identity
from tests.services.devices.fakes import URI, FakeDevice, FakeKind, FakeWorld
from tests.waiting import soon, until

STICK, OTHER = FakeDevice("sdb", "Acme"), FakeDevice("sdc", "Other")
CAMERA = FakeDevice("1-6", "cam", DeviceClass.USB)
QUIET = 0.02


class Watching:
    """A watch that runs, and what it told."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.watch = world.watch()
        self.told: list[DeviceNews] = []
        self.watch.changed.connect(self.told.append)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let it run, from its first list on."""
        task = asyncio.create_task(self.watch.run())
        try:
            await until(lambda: self.told or task.done())
            yield
            assert not task.done() or task.result() is None
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def look(self) -> None:
        """Let it list once more, and wait for that."""
        listed = self.world.kind.listed
        self.world.hosts.announce()
        await until(lambda: self.world.kind.listed > listed)
        await self.taken()

    async def taken(self) -> None:
        """Let it take in the list that was made."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def domain(self) -> Domain:
        """Let there be a domain, which it has heard of."""
        listed = self.world.kind.listed
        work = self.world.domain("work")
        await until(lambda: self.world.kind.listed > listed)
        await self.taken()
        return work

    async def has(self, *devices: FakeDevice) -> DeviceNews | None:
        """Let these be there; returns what it tells of that, None for nothing."""
        self.world.kind.devices = list(devices)
        count = len(self.told)
        await self.look()
        assert len(self.told) <= count + 1
        return self.told[count] if len(self.told) > count else None


@pytest.fixture
async def watching(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watching]:
    """One that has listed OTHER."""
    monkeypatch.setattr(module, "QUIET", QUIET)
    monkeypatch.setattr(module, "_AGAIN", 0.02)
    watching = Watching(FakeWorld(FakeKind(DeviceClass.BLOCK, OTHER)))
    async with watching.running():
        yield watching


async def test_what_is_there_at_first_is_no_news(watching: Watching) -> None:
    (first,) = watching.told
    assert first == DeviceNews((Offered(OTHER),))
    assert watching.watch.news is first
    assert not watching.watch.is_new(OTHER)


async def test_what_comes_and_goes_is_told_once(watching: Watching) -> None:
    assert await watching.has(OTHER, STICK) == DeviceNews((Offered(OTHER), Offered(STICK)), came=(STICK,))
    # What came is news once; the list that says no more has none.
    assert await watching.has(OTHER, STICK) == DeviceNews((Offered(OTHER), Offered(STICK)))
    assert await watching.has(OTHER, STICK) is None
    assert await watching.has(OTHER) == DeviceNews((Offered(OTHER),), went=(STICK,))
    assert await watching.has() == DeviceNews((), went=(OTHER,))


async def test_a_dozen_events_are_one_list(watching: Watching) -> None:
    listed, count = watching.world.kind.listed, len(watching.told)
    watching.world.kind.devices.append(STICK)
    for _ in range(12):
        watching.world.hosts.announce()
        await asyncio.sleep(QUIET / 10)
    await until(lambda: len(watching.told) > count)
    await asyncio.sleep(5 * QUIET)
    assert watching.told[count:] == [DeviceNews((Offered(OTHER), Offered(STICK)), came=(STICK,))]
    assert watching.world.kind.listed <= listed + 3


async def test_events_without_end_do_not_put_it_off_for_ever(watching: Watching) -> None:
    count = len(watching.told)
    watching.world.kind.devices.append(STICK)

    async def flood() -> None:
        while True:
            watching.world.hosts.announce()
            watching.world.now += 0.1
            await asyncio.sleep(QUIET / 10)

    flooding = asyncio.create_task(flood())
    try:
        await until(lambda: len(watching.told) > count)
    finally:
        flooding.cancel()


async def test_events_without_end_do_not_make_it_list_each_time(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.2)
    listed = watching.world.kind.listed
    for _ in range(200):
        watching.world.hosts.announce()
        await asyncio.sleep(0.001)
    assert watching.world.kind.listed <= listed + 2


async def test_other_news_of_the_host_are_none_of_its(watching: Watching) -> None:
    listed = watching.world.kind.listed
    for kind in HostEventKind:
        if kind is not HostEventKind.NODE_DEVICES:
            watching.world.hosts.announce(kind)
    await asyncio.sleep(5 * QUIET)
    assert watching.world.kind.listed == listed
    watching.watch.look()
    await until(lambda: watching.world.kind.listed > listed)


async def test_a_device_that_flaps_is_told_of_once(watching: Watching) -> None:
    assert (await watching.has(OTHER, STICK) or DeviceNews()).came == (STICK,)
    for _ in range(5):
        watching.world.now += FLAPPING - 1
        assert (await watching.has(OTHER) or DeviceNews()).went == (STICK,)
        watching.world.now += FLAPPING - 1
        news = await watching.has(OTHER, STICK)
        assert news and (news.came, news.again) == ((), (STICK,))
    await watching.has(OTHER)
    watching.world.now += FLAPPING
    news = await watching.has(OTHER, STICK)
    assert news and (news.came, news.again) == ((STICK,), ())


async def test_what_was_there_at_first_and_flaps_is_no_news_either(watching: Watching) -> None:
    await watching.has()
    watching.world.now += FLAPPING - 1
    news = await watching.has(OTHER)
    assert news and (news.came, news.again) == ((), (OTHER,))
    assert not watching.watch.is_new(OTHER)


async def test_a_device_is_new_for_two_minutes_from_when_it_came(watching: Watching) -> None:
    await watching.has(OTHER, STICK)
    assert watching.watch.is_new(STICK)
    watching.world.now += 60
    # Coming again makes it no newer.
    await watching.has(OTHER)
    await watching.has(OTHER, STICK)
    watching.world.now += NEW - 60 - 1
    assert watching.watch.is_new(STICK)
    watching.world.now += 1
    assert NEW == 120
    assert not watching.watch.is_new(STICK)
    assert not watching.watch.is_new(OTHER)


async def test_another_device_in_its_place_is_another_one(watching: Watching) -> None:
    await watching.has(OTHER, STICK)
    evil = replace(STICK, ident="Evil")
    news = await watching.has(OTHER, evil)
    assert news and (news.came, news.went) == ((evil,), (STICK,))
    # A new name of the kernel's makes none.
    assert identity(replace(evil, port="sdx", place=evil.location)) == identity(evil)
    renamed = replace(evil, port="sdx", place=evil.location)
    news = await watching.has(OTHER, renamed)
    assert news and (news.came, news.went, news.offered[1].device) == ((), (), renamed)


async def test_a_list_that_fails_is_said_with_what_was_known_and_tried_again(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watching.has(OTHER, STICK)
    count = len(watching.told)
    kinds = watching.world.kinds.values()
    for kind in kinds:
        kind.failing = Refused("libvirt is gone")
    watching.world.hosts.announce()
    await until(lambda: len(watching.told) > count)
    trouble = watching.told[count]
    assert trouble.offered == (Offered(OTHER), Offered(STICK))
    assert (trouble.came, trouble.went) == ((), ())
    assert trouble.trouble.startswith("libvirt is gone")
    # By itself: nobody tells that it is over.
    for kind in kinds:
        kind.failing = None
    await until(lambda: not watching.watch.news.trouble)
    assert watching.watch.news == DeviceNews((Offered(OTHER), Offered(STICK)))


async def test_a_first_list_that_fails_makes_no_news_of_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.01)
    watching = Watching(FakeWorld(FakeKind(DeviceClass.BLOCK, OTHER)))
    (kind,) = watching.world.kinds.values()
    kind.failing = Refused("libvirt is gone")
    async with watching.running():
        assert watching.watch.news == DeviceNews(trouble="libvirt is gone")
        kind.failing = None
        await until(lambda: not watching.watch.news.trouble)
        assert watching.watch.news == DeviceNews((Offered(OTHER),))


async def test_a_host_that_does_not_answer_has_lost_no_devices(watching: Watching) -> None:
    watching.world.kind.failing = HostUnreachable("libvirt is gone")
    await watching.look()
    assert not any(news.went for news in watching.told)
    assert watching.watch.news.trouble


async def test_a_class_that_cannot_be_listed_once_has_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", QUIET)
    usb = FakeKind(DeviceClass.USB, CAMERA)
    watching = Watching(FakeWorld(FakeKind(DeviceClass.BLOCK, OTHER), usb))
    async with watching.running():
        usb.failing = Refused("busy")
        await watching.look()
        usb.failing = None
        watching.world.now += FLAPPING
        await watching.look()
        assert not any(news.went or news.came for news in watching.told)


async def test_a_device_that_calls_itself_otherwise_each_time_makes_nothing_grow() -> None:
    watching = Watching(FakeWorld())
    watch = watching.watch
    watch._take([Offered(OTHER)], "", set())
    most = 0
    for number in range(10_000):
        # Lists are not made more often than that.
        watching.world.now += module.QUIET
        watch._take([Offered(OTHER), Offered(replace(STICK, ident=f"name{number}"))], "", set())
        most = max(most, len(watch._since), len(watch._last_seen))
    assert most <= NEW / module.QUIET + 3
    watching.told.clear()
    watching.world.now += NEW + 1
    watch._take([Offered(OTHER)], "", set())
    watching.world.now += NEW + 1
    watch._take([Offered(OTHER)], "", set())
    assert len(watch._since) + len(watch._last_seen) == 1


async def test_domains_that_come_and_go_make_nothing_grow(watching: Watching) -> None:
    for number in range(1000):
        domain = watching.world.domain(f"disp{number}")
        watching.world.store.remove([domain.key])
        watching.world.store.flush()
    assert len(watching.watch._had) == 0


async def test_who_has_a_device_is_followed_by_what_domains_are_made_of(watching: Watching) -> None:
    world = watching.world
    work = await watching.domain()
    count = len(watching.told)
    world.kind.had = [(work.key, OTHER, "sda")]
    world.put(replace(work, config=replace(work.config, disks=(Disk("sda", "usb", source="/dev/sdc"),))))
    await until(lambda: len(watching.told) > count)
    (offered,) = watching.told[count].offered
    assert [(holder.domain.name, holder.place) for holder in offered.holders] == [("work", "sda")]
    assert watching.told[count].came == watching.told[count].went == ()
    count = len(watching.told)
    world.kind.had = []
    world.put(work)
    await until(lambda: len(watching.told) > count)
    assert watching.told[count].offered == (Offered(OTHER),)


@pytest.mark.parametrize(
    "change",
    [
        {"state": DomainState.HALTED},
        {"name": "renamed"},
        {"config": {"disks": (Disk("sda"),)}},
        {"config": {"host_devices": (HostDevice(DeviceClass.USB, "1.4"),)}},
        {"config": {"assignments": (Assignment(DeviceClass.USB, "x", ANY),)}},
        None,
    ],
)
async def test_what_says_who_has_what_makes_it_look(watching: Watching, change: dict[str, object] | None) -> None:
    work = await watching.domain()
    listed = watching.world.kind.listed
    if change is None:
        watching.world.store.remove([work.key])
        watching.world.store.flush()
    else:
        changes = dict(change)
        if isinstance(config := changes.get("config"), dict):
            changes["config"] = replace(work.config, **config)
        watching.world.put(replace(work, **changes))  # type: ignore[arg-type]
    await until(lambda: watching.world.kind.listed > listed)


async def test_what_says_nothing_of_devices_does_not(watching: Watching) -> None:
    work = await watching.domain()
    listed = watching.world.kind.listed
    watching.world.put(replace(work, id=7, config=replace(work.config, notes="new")))
    watching.world.put(replace(work, state=DomainState.PAUSED))
    elsewhere = Domain(DomainKey("test:///elsewhere", "x"), "x", DomainState.RUNNING)
    watching.world.put(elsewhere, replace(elsewhere, state=DomainState.HALTED))
    await asyncio.sleep(5 * QUIET)
    assert watching.world.kind.listed == listed


async def test_who_ends_it_leaves_nothing_behind() -> None:
    watching = Watching(FakeWorld(FakeKind(DeviceClass.BLOCK, OTHER)))
    async with watching.running():
        assert len(watching.world.hosts.listening) == 1
    assert watching.world.hosts.listening == []
    listed = watching.world.kind.listed
    watching.world.domain("work")
    await asyncio.sleep(0.02)
    assert watching.world.kind.listed == listed
    assert watching.watch.uri == URI


async def test_it_can_run_again(watching: Watching) -> None:
    other = Watching(watching.world)
    for _ in range(2):
        async with other.running():
            pass
    async with soon(), other.running():
        assert other.watch.news.offered == (Offered(OTHER),)


def test_a_watch_that_does_not_run_knows_nothing() -> None:
    watch: DeviceWatch = FakeWorld().watch()
    assert watch.news == DeviceNews()
    assert not watch.is_new(STICK)


async def test_a_far_machine_is_not_listed_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watching(FakeWorld(FakeKind(DeviceClass.BLOCK, OTHER)))
    rests: list[float] = []
    rest, list_devices = asyncio.sleep, watching.world.kind.offered

    async def noted(seconds: float) -> None:
        rests.append(seconds)
        await rest(0)

    async def slow(uri: str) -> list[Offered]:
        watching.world.now += 3
        return await list_devices(uri)

    monkeypatch.setattr(watching.world.kind, "offered", slow)
    monkeypatch.setattr(asyncio, "sleep", noted)
    async with watching.running():
        await until(lambda: 12.0 in rests)
