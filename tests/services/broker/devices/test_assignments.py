"""Devices that come to domains by their assignments: by themselves where it is clear, else after a question."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from qubes_manager.core.crossing.question import Answer, Question, parse_question
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.broker.devices.assignments import AssignmentKeeper
from qubes_manager.services.devices import watch as watching
from qubes_manager.services.devices.assigned import AssignedDevices, attaching
from qubes_manager.services.devices.watch import DeviceNews
from qubes_manager.services.hosts.hosts import Hosts
from tests.services.devices.fakes import FakeDevice, FakeKind, FakeWorld
from tests.waiting import soon, until

BLOCK, USB, PCI, MIC = DeviceClass.BLOCK, DeviceClass.USB, DeviceClass.PCI, DeviceClass.MIC
# One that is always there, and nobody's.
DISK = FakeDevice("sda", "Disk")
STICK = FakeDevice("sdb", "Acme")
CAMERA = FakeDevice("1-6", "cam", USB)
AUTO, ASK, REQUIRED = Mode.AUTO, Mode.ASK, Mode.REQUIRED
QUIET = 0.01


def of(device: FakeDevice, mode: Mode = AUTO, **options: str) -> Assignment:
    return Assignment(device.klass, device.location, ANY, mode, tuple(options.items()))


class Broker:
    """A keeper over a fake world. *answer* is what the user chooses; without one he thinks on."""

    def __init__(self) -> None:
        self.world = FakeWorld(FakeKind(BLOCK, DISK), FakeKind(USB), FakeKind(PCI), FakeKind(MIC))
        self.watch = self.world.watch()
        self.asked: list[Question] = []
        self.withdrawn: list[Question] = []
        self.told: list[tuple[str, str, str, Topic]] = []
        self.answer: Answer | None = None
        self.no_screen = False
        # How long a question takes to be gone from the screen.
        self.closing = 0.0
        self._open = 0
        world = self.world
        assigned = AssignedDevices(cast(Hosts, world.hosts), world.store, lambda: world.devices)
        self.keeper = AssignmentKeeper(world.store, world.devices, assigned, self.watch, self.ask, cast(Notices, self))

    async def ask(self, question: Question) -> Answer:
        if self.no_screen:
            raise Refused("nobody can be asked: there is no screen")
        self.asked.append(question)
        self._open += 1
        try:
            while self.answer is None:
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            await asyncio.sleep(self.closing)
            self.withdrawn.append(question)
            raise
        finally:
            self._open -= 1
        return self.answer

    async def show(self, title: str, text: str, about: object, topic: Topic) -> bool:
        self.told.append((title, text, getattr(about, "uuid", ""), topic))
        return True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.keeper.run())
        try:
            await until(lambda: self.watch.news.offered or task.done())
            await self.settle()
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def settle(self) -> None:
        """Let all happen that happens by itself: the devices are listed, and all that is begun waits for an answer."""
        quiet = 0
        async with soon():
            while quiet < 4:
                await asyncio.sleep(QUIET)
                is_heard = all(queue.empty() for queue in self.world.hosts.listening)
                is_idle = is_heard and not self.watch._dirty.is_set() and self.keeper._giving.running == self._open
                quiet = quiet + 1 if is_idle else 0

    async def plug(self, *devices: FakeDevice) -> None:
        for device in devices:
            self.world.kinds[device.klass].devices.append(device)
        self.world.hosts.announce()
        await self.settle()

    async def unplug(self, device: FakeDevice) -> None:
        kind = self.world.kinds[device.klass]
        kind.devices.remove(device)
        kind.had = [one for one in kind.had if one[1] != device]
        self.world.hosts.announce()
        await self.settle()

    @property
    def given(self) -> list[tuple[str, str]]:
        return [pair for kind in self.world.kinds.values() for pair in kind.given]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    monkeypatch.setattr(watching, "QUIET", QUIET)
    return Broker()


@pytest.mark.parametrize("mode", [AUTO, REQUIRED])
async def test_what_comes_goes_to_the_one_domain_that_is_to_have_it(broker: Broker, mode: Mode) -> None:
    broker.world.domain("work", of(STICK, mode, speed="9"))
    broker.world.domain("mail", of(CAMERA))
    async with broker.running():
        await broker.plug(STICK)
        assert broker.world.kind.calls == [("give", "work", "sdb", "speed=9")]
        assert broker.asked == []
        assert broker.told == [("“work” has a device", "block sdb, as it is assigned", "work", Topic.DEVICES)]
        await broker.plug(CAMERA)
        assert broker.given == [("work", "sdb"), ("mail", "1-6")]


async def test_what_is_nobodys_goes_to_nobody(broker: Broker) -> None:
    broker.world.domain("work", of(CAMERA), Assignment(BLOCK, STICK.location, "Other"))
    broker.world.domain("halted", of(STICK), state=DomainState.HALTED)
    broker.world.domain("paused", of(STICK), state=DomainState.PAUSED)
    async with broker.running():
        await broker.plug(STICK)
        assert (broker.given, broker.asked, broker.told) == ([], [], [])


async def test_what_the_host_uses_and_what_is_not_live_is_left_alone(broker: Broker) -> None:
    used, card, microphone = (
        replace(STICK, in_use="mounted"),
        FakeDevice("0000_02_00.0", "c", PCI),
        FakeDevice("mic", "m", MIC),
    )
    broker.world.domain("work", of(used), of(card, REQUIRED), of(microphone))
    async with broker.running():
        await broker.plug(used, card, microphone)
        assert (broker.given, broker.asked, broker.told) == ([], [], [])


async def test_where_several_are_to_have_it_the_user_says_who(broker: Broker) -> None:
    for name in ("work", "mail"):
        broker.world.domain(name, of(STICK))
    async with broker.running():
        await broker.plug(STICK)
        (question,) = broker.asked
        assert [choice.target for choice in question.choices] == ["mail", "work"]
        assert question.default_target == ""
        assert question.sentence == "give block sdb, at at-sdb, to a domain"
        assert parse_question(question.to_json().encode()) == question
        assert broker.given == [], "nothing is given before the answer"
        broker.answer = Answer("mail")
        await broker.settle()
        assert broker.given == [("mail", "sdb")]


async def test_where_a_question_is_wanted_one_comes_though_it_is_clear_who(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK, speed="3"))
    async with broker.running():
        await broker.plug(STICK)
        (question,) = broker.asked
        assert (question.default_target, [choice.uuid for choice in question.choices]) == ("work", ["work"])
        broker.answer = Answer("work")
        await broker.settle()
        assert broker.world.kind.calls == [("give", "work", "sdb", "speed=3")]


@pytest.mark.parametrize("answer", [Answer(), Answer("somebody")])
async def test_who_says_no_is_not_asked_again_for_the_same(broker: Broker, answer: Answer) -> None:
    broker.world.domain("work", of(STICK, ASK))
    broker.answer = answer
    async with broker.running():
        await broker.plug(STICK)
        assert len(broker.asked) == 1
        await broker.plug(FakeDevice("sdz"))
        assert len(broker.asked) == 1
        assert (broker.given, broker.told) == ([], [])


async def test_one_device_is_asked_for_once_however_often_it_is_told_of(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK))
    async with broker.running():
        await broker.plug(STICK)
        for number in range(3):
            await broker.plug(FakeDevice(f"sd{number}"))
        broker.world.domain("mail", of(STICK, ASK))
        await broker.settle()
        assert len(broker.asked) == 1


async def test_two_devices_are_two_questions(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK), of(CAMERA, ASK))
    async with broker.running():
        await broker.plug(STICK, CAMERA)
        assert sorted(question.argument for question in broker.asked) == ["block:sdb", "usb:1-6"]


async def test_a_question_goes_with_its_device_and_comes_again_with_it(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK))
    async with broker.running():
        await broker.plug(STICK)
        await broker.unplug(STICK)
        assert len(broker.withdrawn) == 1
        # Within a moment: no news for people, and a device all the same.
        await broker.plug(STICK)
        assert len(broker.asked) == 2
        broker.answer = Answer("work")
        await broker.settle()
        assert broker.given == [("work", "sdb")]


async def test_what_flaps_is_given_again(broker: Broker) -> None:
    broker.world.domain("work", of(STICK))
    async with broker.running():
        for times in range(1, 4):
            await broker.plug(STICK)
            assert broker.given == [("work", "sdb")]
            assert len(broker.world.kind.calls) == times
            await broker.unplug(STICK)


async def test_a_question_that_is_long_in_going_does_not_hide_the_next_one(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK))
    broker.closing = 20 * QUIET
    async with broker.running():
        await broker.plug(STICK)
        await broker.unplug(STICK)
        await broker.plug(STICK)
        await asyncio.sleep(30 * QUIET)
        assert len(broker.asked) == 2
        await broker.unplug(STICK)
        await asyncio.sleep(30 * QUIET)
        assert len(broker.withdrawn) == 2


async def test_what_went_or_was_taken_while_the_user_thought_is_not_given(broker: Broker) -> None:
    work = broker.world.domain("work", of(STICK, ASK))
    mail = broker.world.domain("mail")
    async with broker.running():
        await broker.plug(STICK)
        broker.world.kind.had = [(mail.key, STICK, "sda")]
        broker.answer = Answer("work")
        await broker.settle()
        assert broker.given == [("mail", "sdb")]
        assert broker.told == []
        # Nor where nobody has said yet that it went.
        broker.world.kind.had = []
        await broker.unplug(STICK)
        broker.answer = None
        await broker.plug(STICK)
        broker.world.kind.devices.remove(STICK)
        broker.answer = Answer("work")
        await broker.settle()
        assert broker.given == []
        assert work.config.assignments


async def test_a_domain_that_ended_or_lost_its_assignment_meanwhile_gets_nothing(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK))
    broker.world.domain("mail", of(STICK, ASK))
    async with broker.running():
        await broker.plug(STICK)
        broker.world.halt("work")
        broker.answer = Answer("work")
        await broker.settle()
        assert (broker.given, broker.told) == ([], [])
        await broker.unplug(STICK)
        broker.answer = None
        await broker.plug(STICK)
        broker.world.domain("mail")
        broker.answer = Answer("mail")
        await broker.settle()
        assert (broker.given, broker.told) == ([], [])


async def test_what_does_not_come_is_told(broker: Broker) -> None:
    broker.world.domain("work", of(STICK))
    broker.world.kind.refusing["sdb"] = Refused("it is on fire")
    async with broker.running():
        await broker.plug(STICK)
        assert broker.told == [("“work” did not get a device", "block sdb: it is on fire", "work", Topic.DEVICES)]


async def test_what_a_domain_never_gets_is_not_given_by_an_assignment(broker: Broker) -> None:
    broker.world.domain("bank", of(CAMERA), of(STICK), denied=("u******",))
    async with broker.running():
        await broker.plug(CAMERA, STICK)
        assert broker.given == [("bank", "sdb")]
        # Nor is it offered as one that could have it.
        assert not [text for _title, text, *_rest in broker.told if "1-6" in text]


async def test_a_domain_that_never_gets_a_device_is_not_offered_for_it(broker: Broker) -> None:
    broker.world.domain("bank", of(CAMERA, ASK), denied=("u******",))
    broker.world.domain("work", of(CAMERA, ASK))
    async with broker.running():
        await broker.plug(CAMERA)
        assert [choice.target for choice in broker.asked[0].choices] == ["work"]


async def test_without_a_screen_nothing_is_given_after_a_question(broker: Broker) -> None:
    broker.no_screen = True
    broker.world.domain("work", of(STICK, ASK), of(CAMERA))
    async with broker.running():
        await broker.plug(STICK, CAMERA)
        # What needs none comes.
        assert broker.given == [("work", "1-6")]


async def test_what_was_there_at_first_is_only_asked_for(broker: Broker) -> None:
    """Who started the domain has given it what comes by itself."""
    broker.world.kind.devices.append(STICK)
    broker.world.kinds[USB].devices.append(CAMERA)
    broker.world.domain("work", of(STICK), of(CAMERA, ASK))
    async with broker.running():
        assert broker.given == []
        assert [question.argument for question in broker.asked] == ["usb:1-6"]


async def test_what_somebody_has_is_not_asked_for(broker: Broker) -> None:
    broker.world.kind.devices.append(STICK)
    mail = broker.world.domain("mail")
    broker.world.domain("work", of(STICK, ASK))
    broker.world.kind.had = [(mail.key, STICK, "sda")]
    async with broker.running():
        assert broker.asked == []


@pytest.mark.parametrize("mode", [AUTO, ASK])
async def test_a_domain_that_starts_later_is_given_what_is_there(broker: Broker, mode: Mode) -> None:
    broker.world.kind.devices.append(STICK)
    work = broker.world.domain("work", of(STICK, mode), state=DomainState.HALTED)
    broker.answer = Answer("work")
    async with broker.running():
        assert (broker.given, broker.asked) == ([], [])
        broker.world.put(replace(work, state=DomainState.RUNNING))
        await broker.settle()
        assert len(broker.asked) == (mode is ASK)
        assert broker.given == [("work", "sdb")]


@pytest.mark.parametrize("mode", [AUTO, ASK])
async def test_a_domain_that_started_is_given_what_is_there_with_the_next_news(broker: Broker, mode: Mode) -> None:
    broker.world.kind.devices.append(STICK)
    work = broker.world.domain("work", of(STICK, mode), state=DomainState.HALTED)
    broker.world.domain("always", of(CAMERA))
    broker.answer = Answer("work")
    async with broker.running():
        broker.world.put(replace(work, state=DomainState.RUNNING))
        await broker.plug(FakeDevice("sdz"))
        assert len(broker.asked) == (mode is ASK)
        assert broker.given == [("work", "sdb")]


async def test_who_starts_a_domain_and_the_keeper_give_a_device_once(broker: Broker) -> None:
    work = broker.world.domain("work", of(STICK))
    async with broker.running():
        async with attaching(work):
            broker.world.kind.devices.append(STICK)
            broker.world.hosts.announce()
            await until(lambda: broker.keeper._giving.running)
            await asyncio.sleep(0.2)
            assert broker.given == []
            broker.world.kind.had = [(work.key, STICK, "sda")]
        await broker.settle()
        assert broker.world.kind.calls == []
        assert broker.told == []


async def test_a_host_of_evil_words_makes_a_harmless_question(broker: Broker) -> None:
    evil = FakeDevice("sdb", "x" * 200, place="at-\x1b[31m\u202e" + "y" * 500)
    broker.world.domain("work", Assignment(BLOCK, ANY, evil.ident, ASK))
    async with broker.running():
        await broker.plug(evil)
        (question,) = broker.asked
        parse_question(question.to_json().encode())


async def test_the_broker_stays_for_it_while_a_domain_runs_that_is_to_have_something(broker: Broker) -> None:
    assert broker.keeper.is_idle
    broker.world.domain("work")
    assert broker.keeper.is_idle
    broker.world.domain("mail", of(STICK), state=DomainState.HALTED)
    assert broker.keeper.is_idle
    broker.world.domain("mail", of(STICK))
    assert not broker.keeper.is_idle
    broker.world.halt("mail")
    assert broker.keeper.is_idle


async def test_who_ends_it_withdraws_its_questions(broker: Broker) -> None:
    broker.world.domain("work", of(STICK, ASK))
    async with broker.running():
        await broker.plug(STICK)
        assert len(broker.asked) == 1
    assert len(broker.withdrawn) == 1
    broker.watch.changed.emit(DeviceNews())
    assert not broker.watch.changed.is_heard
