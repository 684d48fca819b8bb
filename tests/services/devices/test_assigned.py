"""What comes to a domain at its start, and what it does not start without."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import cast

import pytest

from qubes_manager.backend.user import domain_lock as locks
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import DomainState
from qubes_manager.core.errors import HostUnreachable, NotFound, Refused, TimedOut
from qubes_manager.services.devices.assigned import AssignedDevices, attaching, fitting, is_had
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.hosts.hosts import Hosts
from tests.services.devices.fakes import FakeDevice, FakeKind, FakeWorld
from tests.waiting import soon

BLOCK, USB, PCI, MIC = DeviceClass.BLOCK, DeviceClass.USB, DeviceClass.PCI, DeviceClass.MIC
STICK, OTHER = FakeDevice("sdb", "Acme"), FakeDevice("sdc", "Other")
CAMERA, CARD, MICROPHONE = (
    FakeDevice("1-6", "cam", USB),
    FakeDevice("0000_02_00.0", "x", PCI),
    FakeDevice("mic", "m", MIC),
)
AUTO, ASK, REQUIRED = Mode.AUTO, Mode.ASK, Mode.REQUIRED


def of(device: FakeDevice, mode: Mode = AUTO, **options: str) -> Assignment:
    return Assignment(device.klass, device.location, ANY, mode, tuple(options.items()))


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(
        FakeKind(BLOCK, STICK, OTHER), FakeKind(USB, CAMERA), FakeKind(PCI, CARD), FakeKind(MIC, MICROPHONE)
    )


def assigned(world: FakeWorld) -> AssignedDevices:
    return AssignedDevices(cast(Hosts, world.hosts), world.store, lambda: world.devices)


def given(world: FakeWorld) -> list[tuple[str, str]]:
    return [pair for kind in world.kinds.values() for pair in kind.given]


async def test_a_domain_without_assignments_asks_for_no_devices(world: FakeWorld) -> None:
    def asked() -> None:
        raise AssertionError

    service = AssignedDevices(cast(Hosts, world.hosts), world.store, asked)  # type: ignore[arg-type]
    work = world.domain("work", of(CARD, REQUIRED), of(MICROPHONE))
    await service.require(work)
    assert await service.attach_at_start(work.key) == []


async def test_a_domain_starts_where_all_that_it_requires_is_there(world: FakeWorld) -> None:
    await assigned(world).require(world.domain("work", of(STICK, REQUIRED), of(OTHER, ASK), state=DomainState.HALTED))
    assert world.kinds[USB].listed == 0, "no class is listed of which it has nothing"
    assert given(world) == []


async def test_a_domain_does_not_start_without_what_it_requires(world: FakeWorld) -> None:
    gone = [FakeDevice("sdx"), FakeDevice("sdy")]
    required = [of(one, REQUIRED) for one in gone]
    work = world.domain("work", of(STICK, REQUIRED), *required, of(FakeDevice("sdz")), state=DomainState.HALTED)
    with pytest.raises(Refused) as caught:
        await assigned(world).require(work)
    assert str(caught.value) == (
        "“work” requires a device that is not there: block dom0:at-sdx:*, block dom0:at-sdy:*. Plug it in and start "
        "it again, or take the assignment away (qvm-device block unassign)"
    )


async def test_another_device_in_its_place_is_not_what_is_required(world: FakeWorld) -> None:
    work = world.domain("work", Assignment(BLOCK, STICK.location, "Genuine", REQUIRED))
    with pytest.raises(Refused, match="requires a device that is not there: block dom0:at-sdb:Genuine"):
        await assigned(world).require(work)


@pytest.mark.parametrize(
    ("state", "is_refused"), [(DomainState.RUNNING, True), (DomainState.PAUSED, True), (DomainState.HALTED, False)]
)
async def test_what_a_running_domain_has_another_one_cannot_require(
    world: FakeWorld, state: DomainState, is_refused: bool
) -> None:
    work, mail = world.domain("work", of(STICK, REQUIRED)), world.domain("mail", state=state)
    world.kind.had = [(mail.key, STICK, "sda")]
    if is_refused:
        with pytest.raises(Refused, match="“work” requires block sdb, which “mail” has: detach it there"):
            await assigned(world).require(work)
    else:
        await assigned(world).require(work)


async def test_what_it_has_itself_and_what_others_have_besides_is_no_matter(world: FakeWorld) -> None:
    work, mail = world.domain("work", of(STICK, REQUIRED)), world.domain("mail")
    world.kind.had = [(work.key, STICK, "sda"), (mail.key, OTHER, "sda")]
    await assigned(world).require(work)


async def test_one_of_two_devices_that_fit_is_enough(world: FakeWorld) -> None:
    twin = replace(STICK, port="sdd")
    world.kind.devices.append(twin)
    work, mail = world.domain("work", Assignment(BLOCK, ANY, "Acme", REQUIRED)), world.domain("mail")
    world.kind.had = [(mail.key, STICK, "sda")]
    await assigned(world).require(work)


async def test_two_that_come_by_themselves_both_come(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK, speed="9"), of(OTHER, REQUIRED), of(CAMERA))
    assert await assigned(world).attach_at_start(work.key) == []
    assert sorted(given(world)) == [("work", "1-6"), ("work", "sdb"), ("work", "sdc")]
    assert world.kind.calls[0] == ("give", "work", "sdb", "speed=9")


async def test_one_assignment_may_mean_several_devices(world: FakeWorld) -> None:
    twin = replace(STICK, port="sdd")
    world.kind.devices.append(twin)
    work = world.domain("work", Assignment(BLOCK, ANY, "Acme"))
    assert await assigned(world).attach_at_start(work.key) == []
    assert given(world) == [("work", "sdb"), ("work", "sdd")]


async def test_what_wants_a_question_and_what_is_not_live_does_not_come(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK, ASK), of(CARD, REQUIRED), of(MICROPHONE), of(CAMERA))
    assert await assigned(world).attach_at_start(work.key) == []
    assert given(world) == [("work", "1-6")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_the_assignment_that_says_most_holds(world: FakeWorld, order: tuple[int, ...]) -> None:
    exact = Assignment(BLOCK, STICK.location, "Acme", AUTO, (("speed", "3"),))
    by_port = Assignment(BLOCK, STICK.location, ANY, ASK, (("speed", "2"),))
    by_ident = Assignment(BLOCK, ANY, "Acme", REQUIRED, (("speed", "1"),))
    three = [(exact, by_port, by_ident)[at] for at in order]
    work = world.domain("work", *three)
    await assigned(world).attach_at_start(work.key)
    assert world.kind.calls == [("give", "work", "sdb", "speed=3")]
    # That of the port comes before that of the ident: here it wants a question.
    mail = world.domain(
        "mail", *(replace(one, mode=one.mode if one is by_port else AUTO) for one in three[::-1] if one is not exact)
    )
    world.kind.had = []
    await assigned(world).attach_at_start(mail.key)
    assert given(world) == []


async def test_what_it_has_already_is_not_given_again(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK, REQUIRED))
    world.kind.had = [(work.key, STICK, "sda")]
    assert await assigned(world).attach_at_start(work.key) == []
    assert world.kind.calls == []


async def test_what_does_not_come_is_said_and_the_rest_comes(world: FakeWorld) -> None:
    world.kind.refusing["sdb"] = Refused("dom0 uses /dev/sdb: mounted at /home")
    work = world.domain("work", of(STICK), of(OTHER), of(CAMERA))
    notes = await assigned(world).attach_at_start(work.key)
    assert notes == ["“work” did not get block sdb: dom0 uses /dev/sdb: mounted at /home"]
    assert sorted(given(world)) == [("work", "1-6"), ("work", "sdc")]


async def test_where_a_required_one_does_not_come_it_is_raised(world: FakeWorld) -> None:
    world.kind.refusing["sdb"] = TimedOut("it does not answer", "raw words")
    work = world.domain("work", of(STICK, REQUIRED), of(CAMERA))
    with pytest.raises(Refused, match="“work” requires block sdb, and did not get it: it does not answer") as caught:
        await assigned(world).attach_at_start(work.key)
    assert caught.value.details == "raw words"


async def test_what_is_required_and_went_while_the_domain_started_is_raised(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK, REQUIRED))
    await assigned(world).require(work)
    world.kind.devices.remove(STICK)
    with pytest.raises(Refused, match="“work” requires"):
        await assigned(world).attach_at_start(work.key)


async def test_what_it_never_gets_does_not_come_by_an_assignment_either(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK), of(CAMERA), denied=("u******",))
    (note,) = await assigned(world).attach_at_start(work.key)
    assert note.startswith("“work” did not get usb 1-6: “work” is never to get usb 1-6: its devices_denied has u******")
    assert given(world) == [("work", "sdb")]
    bank = world.domain("bank", of(OTHER, REQUIRED), denied=("b******",))
    with pytest.raises(Refused, match="“bank” requires block sdc, and did not get it: “bank” is never to get"):
        await assigned(world).attach_at_start(bank.key)


async def test_a_list_that_fails_is_raised_where_something_is_wanted_of_it(world: FakeWorld) -> None:
    world.kind.failing = HostUnreachable("libvirt is gone")
    work = world.domain("work", of(STICK))
    with pytest.raises(HostUnreachable):
        await assigned(world).attach_at_start(work.key)


async def test_a_domain_that_is_gone_gets_nothing(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK))
    world.store.remove([work.key])
    with pytest.raises(NotFound, match="the domain does not exist any more"):
        await assigned(world).attach_at_start(work.key)


async def test_two_that_give_at_once_give_once(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK), of(OTHER))
    async with soon():
        notes = await asyncio.gather(*(assigned(world).attach_at_start(work.key) for _ in range(5)))
    assert notes == [[]] * 5
    assert [call[2] for call in world.kind.calls] == ["sdb", "sdc"]


_HOLDER = """
import asyncio, sys
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.services.devices.assigned import attaching

async def hold():
    async with attaching(Domain(DomainKey(sys.argv[1], sys.argv[2]), "work", DomainState.RUNNING)):
        print("held", flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


async def test_another_program_that_is_at_it_is_waited_for_and_one_that_dies_is_not(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = world.domain("work", of(STICK))
    words = [sys.executable, "-c", _HOLDER, work.key.connection, work.key.uuid]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        giving = asyncio.create_task(assigned(world).attach_at_start(work.key))
        await asyncio.sleep(0.3)
        assert not giving.done()
        # What others get is none of its.
        await assigned(world).attach_at_start(world.domain("mail", of(OTHER)).key)
        assert given(world) == [("mail", "sdc")]
        os.kill(holder.pid, signal.SIGKILL)
        async with soon():
            assert await giving == []
        assert ("work", "sdb") in given(world)
    finally:
        holder.kill()
        holder.communicate()


async def test_one_that_holds_it_too_long_is_said(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks.domain_lock.__wrapped__, "__defaults__", (0.2,))  # type: ignore[attr-defined]
    work = world.domain("work", of(STICK))
    async with attaching(work):
        with pytest.raises(Refused, match="“work” is being changed by another qubes-manager"):
            await assigned(world).attach_at_start(work.key)


def test_what_a_domain_is_to_have_while_it_runs_stands_with_its_assignment(world: FakeWorld) -> None:
    work = world.domain("work", of(STICK), of(CARD, REQUIRED), of(MICROPHONE), of(CAMERA, ASK))
    offered = [Offered(one) for one in (OTHER, STICK, CAMERA, CARD, MICROPHONE)]
    assert fitting(work, iter(offered)) == [(offered[1], of(STICK)), (offered[2], of(CAMERA, ASK))]


def test_who_has_a_device_is_told_by_domain(world: FakeWorld) -> None:
    work, mail = world.domain("work"), world.domain("mail")
    offered = Offered(STICK, (Holder(mail, "sda"),))
    assert is_had(offered, mail.key)
    assert not is_had(offered, work.key)
    assert not is_had(Offered(STICK), work.key)
