"""Devices of all classes: who may have them, taking them back, and what domains are to have."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName
from qubes_manager.core.domain import HOST_UUID, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, HostUnreachable, NotFound, QubesManagerError, Refused
from qubes_manager.services.devices.devices import assignment_of
from qubes_manager.services.devices.kind import Held, Holder
from tests.driver import RUNNING
from tests.services.conftest import MakeWorld
from tests.services.devices.fakes import URI, FakeDevice, FakeKind, FakeWorld

BLOCK, USB, PCI, MIC = DeviceClass.BLOCK, DeviceClass.USB, DeviceClass.PCI, DeviceClass.MIC
STICK, OTHER = FakeDevice("sdb", "Acme"), FakeDevice("sdc", "Other")
CAMERA = FakeDevice("1-6", "cam", USB, codes=("u0e0100", "u030101"))
CARD = FakeDevice("0000_02_00.0", "8086:1", PCI)
REQUIRED = Assignment(BLOCK, STICK.location, ANY, Mode.REQUIRED)


@pytest.fixture
def world() -> FakeWorld:
    """work runs; a stick, another one, a camera and a card are there."""
    world = FakeWorld(FakeKind(BLOCK, STICK, OTHER), FakeKind(USB, CAMERA), FakeKind(PCI, CARD))
    world.domain("work")
    return world


def held_by(domain: Domain, device: FakeDevice, place: str = "sda") -> Held:
    return Held(device, Holder(domain, place))


async def test_the_devices_of_all_classes_are_offered_or_those_that_are_wanted(world: FakeWorld) -> None:
    everything = await world.devices.offered(URI)
    assert [one.device for one in everything] == [STICK, OTHER, CAMERA, CARD]
    some = await world.devices.offered(URI, [PCI, USB])
    assert [one.device for one in some] == [CAMERA, CARD]
    assert world.kinds[BLOCK].listed == 1, "what is not wanted is not listed"
    assert world.devices.classes == (BLOCK, USB, PCI)


async def test_one_class_that_cannot_be_listed_hides_no_other(world: FakeWorld) -> None:
    world.kinds[USB].failing = Refused("the bus is on fire")
    offered, troubles = await world.devices.listed(URI)
    assert [one.device for one in offered] == [STICK, OTHER, CARD]
    assert {klass: str(trouble) for klass, trouble in troubles.items()} == {USB: "the bus is on fire"}
    for classes in ((), (USB,)):
        with pytest.raises(Refused, match="the bus is on fire"):
            await world.devices.offered(URI, classes)


async def test_a_defect_of_one_class_leaves_its_trace_and_the_others(
    world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.kinds[USB].failing = ZeroDivisionError()
    offered, _troubles = await world.devices.listed(URI)
    assert [one.device for one in offered] == [STICK, OTHER, CARD]
    assert "Traceback" in caplog.text
    with pytest.raises(ZeroDivisionError):
        await world.devices.offered(URI, [USB, BLOCK])


async def test_where_no_class_can_be_listed_that_is_said(world: FakeWorld) -> None:
    for kind in world.kinds.values():
        kind.failing = HostUnreachable("libvirt is gone")
    with pytest.raises(HostUnreachable):
        await world.devices.offered(URI)


async def test_a_device_is_found_in_its_class_alone(world: FakeWorld) -> None:
    assert await world.devices.find(URI, BLOCK, DeviceName("sdb")) == STICK
    assert await world.devices.find(URI, USB, DeviceName(ANY, "cam")) == CAMERA
    with pytest.raises(NotFound, match="this machine has no usb device dom0:sdb"):
        await world.devices.find(URI, USB, DeviceName("sdb"))
    assert world.devices.warnings(CAMERA) == ["beware of 1-6"]


async def test_a_device_is_given_by_its_own_class_with_its_options(world: FakeWorld) -> None:
    work = world.store.require(DomainKey(URI, "work"))
    assert await world.devices.attach(work.key, CAMERA, {"speed": "9"}) == "place0"
    assert world.kinds[USB].calls == [("give", "work", "1-6", "speed=9")]
    assert world.kinds[BLOCK].calls == []


@pytest.mark.parametrize("pattern", ["u03****", "u0e0100", "u******", "*******"])
async def test_what_a_domain_never_gets_it_does_not_get_from_anybody(world: FakeWorld, pattern: str) -> None:
    bank = world.domain("bank", denied=("m******", pattern))
    reason = f"“bank” is never to get usb 1-6: its devices_denied has {pattern} (qvm-prefs)"
    with pytest.raises(Refused, match=re.escape(reason)):
        await world.devices.attach(bank.key, CAMERA, {})
    world.kinds[USB].had = [(DomainKey(URI, "work"), CAMERA, "p")]
    work = world.store.require(DomainKey(URI, "work"))
    with pytest.raises(Refused, match="“bank” is never to get"):
        await world.devices.move(held_by(work, CAMERA, "p"), bank.key, {})
    # It has not been taken from who had it.
    assert world.kinds[USB].calls == []
    assert any("bank" in call for call in await _try(world, bank, STICK)) == (pattern == "*******")


async def _try(world: FakeWorld, domain: Domain, device: FakeDevice) -> list[str]:
    try:
        await world.devices.attach(domain.key, device, {})
    except QubesManagerError as error:
        return [str(error)]
    return []


async def test_options_are_those_of_the_class(world: FakeWorld) -> None:
    key = DomainKey(URI, "work")
    world.devices.check(key, USB, {"speed": "1"})
    with pytest.raises(BadInput, match="option: 'bus=usb' cannot be used"):
        world.devices.check(key, USB, {"bus": "usb"})


async def test_this_machine_and_who_is_gone_get_nothing(world: FakeWorld) -> None:
    host = Domain(DomainKey(URI, HOST_UUID), "dom0", DomainState.RUNNING)
    world.put(host)
    assert host.is_host
    for act in (
        lambda key: world.devices.attach(key, STICK, {}),
        lambda key: world.devices.held(key, BLOCK),
        lambda key: world.devices.assign(key, REQUIRED),
        lambda key: world.devices.unassign(key, lambda _one: True),
    ):
        with pytest.raises(Refused, match="dom0 is this machine; its devices are its own"):
            await act(host.key)
        with pytest.raises(NotFound, match="the domain does not exist any more"):
            await act(DomainKey(URI, "nobody"))
    with pytest.raises(Refused, match="dom0 is this machine"):
        await world.devices.detach(held_by(host, STICK))
    assert not any(kind.calls for kind in world.kinds.values())


async def test_what_a_domain_has_is_found_by_any_of_its_names(world: FakeWorld) -> None:
    work = world.store.require(DomainKey(URI, "work"))
    world.kind.had = [(work.key, OTHER, "vda"), (work.key, STICK, "sda")]
    everything = await world.devices.held(work.key, BLOCK)
    assert [(one.device, one.holder.place) for one in everything] == [(OTHER, "vda"), (STICK, "sda")]
    for name in (DeviceName("sdb"), DeviceName("at-sdb"), DeviceName(ANY, "Acme"), DeviceName("sda")):
        (one,) = await world.devices.held(work.key, BLOCK, name)
        assert (one.device, one.holder.place) == (STICK, "sda"), name
    with pytest.raises(NotFound, match=r"“work” does not have dom0:sdz$"):
        await world.devices.held(work.key, BLOCK, DeviceName("sdz"))
    with pytest.raises(NotFound, match=r"“work” does not have dom0:sdb:Other$"):
        await world.devices.held(work.key, BLOCK, DeviceName("sdb", "Other"))


async def test_the_machines_name_of_a_device_counts_before_a_domains_name_of_another_one(world: FakeWorld) -> None:
    """The machine's sdc is the domain's sdb here: who writes dom0:sdb means the machine's."""
    work = world.store.require(DomainKey(URI, "work"))
    world.kind.had = [(work.key, OTHER, "sdb"), (work.key, STICK, "sdc")]
    (one,) = await world.devices.held(work.key, BLOCK, DeviceName("sdb"))
    assert one.device == STICK
    # Nor is another one taken where the domain does not have the machine's.
    world.kind.had = [(work.key, OTHER, "sdb")]
    with pytest.raises(NotFound, match=r"“work” does not have dom0:sdb$"):
        await world.devices.held(work.key, BLOCK, DeviceName("sdb"))


async def test_of_two_that_are_meant_none_is_taken(world: FakeWorld) -> None:
    work, twin = world.store.require(DomainKey(URI, "work")), replace(STICK, port="sdd")
    world.kind.had = [(work.key, STICK, "sda"), (work.key, twin, "sdb")]
    with pytest.raises(QubesManagerError):
        await world.devices.held(work.key, BLOCK, DeviceName(ANY, "Acme"))


async def test_a_device_that_a_running_domain_requires_is_taken_by_force_alone(world: FakeWorld) -> None:
    work = world.domain("work", REQUIRED)
    world.kind.had = [(work.key, STICK, "sda")]
    (held,) = await world.devices.held(work.key, BLOCK)
    with pytest.raises(Refused, match="“work” requires block sdb and runs: shut it down first, or take the device by"):
        await world.devices.detach(held)
    assert world.kind.calls == []
    assert await world.devices.detach(held, force=True) == "sdb is free"
    assert world.kind.calls == [("take", "work", "sdb", "force")]


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.ASK])
async def test_what_only_comes_by_itself_is_taken_without_force(world: FakeWorld, mode: Mode) -> None:
    work = world.domain("work", replace(REQUIRED, mode=mode))
    world.kind.had = [(work.key, STICK, "sda")]
    await world.devices.detach(held_by(work, STICK))
    assert world.kind.calls == [("take", "work", "sdb")]


async def test_a_halted_domain_requires_nothing_and_a_paused_one_does(world: FakeWorld) -> None:
    halted = world.domain("work", REQUIRED, state=DomainState.HALTED)
    await world.devices.detach(held_by(halted, STICK))
    paused = world.domain("work", REQUIRED, state=DomainState.PAUSED)
    with pytest.raises(Refused, match="requires"):
        await world.devices.detach(held_by(paused, STICK))
    # How it stands now counts, and not how it stood when it was looked at.
    with pytest.raises(Refused, match="requires"):
        await world.devices.detach(held_by(halted, STICK))


async def test_another_device_than_the_required_one_is_taken(world: FakeWorld) -> None:
    work = world.domain("work", REQUIRED)
    await world.devices.detach(held_by(work, OTHER))
    assert world.kind.calls == [("take", "work", "sdc")]


async def test_a_device_goes_from_one_domain_to_another(world: FakeWorld) -> None:
    work, mail = world.store.require(DomainKey(URI, "work")), world.domain("mail")
    world.kind.had = [(work.key, STICK, "sda")]
    await world.devices.move(held_by(work, STICK), mail.key, {"speed": "1"})
    assert world.kind.calls == [("take", "work", "sdb"), ("give", "mail", "sdb", "speed=1")]
    assert world.kind.given == [("mail", "sdb")]


async def test_what_is_required_does_not_move(world: FakeWorld) -> None:
    work, mail = world.domain("work", REQUIRED), world.domain("mail")
    world.kind.had = [(work.key, STICK, "sda")]
    with pytest.raises(Refused, match="“work” requires"):
        await world.devices.move(held_by(work, STICK), mail.key, {})
    assert world.kind.given == [("work", "sdb")]


async def test_what_cannot_be_given_is_not_taken_away(world: FakeWorld) -> None:
    work, mail = world.store.require(DomainKey(URI, "work")), world.domain("mail")
    world.kind.had = [(work.key, STICK, "sda")]
    with pytest.raises(BadInput):
        await world.devices.move(held_by(work, STICK), mail.key, {"bus": "usb"})
    assert world.kind.given == [("work", "sdb")]


# What domains are to have, over libvirt's test driver, which keeps metadata.


async def test_assignments_are_kept_in_the_domain_and_replaced_by_device(driver_world: MakeWorld) -> None:
    world = await driver_world([NewDomain("work", DomainConfig())], states={"work": RUNNING})
    work = world.named("work").key
    stick = Assignment(BLOCK, "usb-2-1", ANY, Mode.ASK, (("bus", "scsi"),))
    camera = Assignment(USB, ANY, "04f2:b5a7::u0e0100")
    for one in (stick, camera):
        await world.devices.assign(work, one)
    assert set(world.devices.assignments(world.named("work"))) == {stick, camera}
    required = replace(stick, mode=Mode.REQUIRED, options=())
    await world.devices.assign(work, required)
    assert set(world.named("work").config.assignments) == {required, camera}
    assert await world.devices.unassign(work, lambda one: one.klass is BLOCK) == [required]
    assert world.named("work").config.assignments == (camera,)
    with pytest.raises(NotFound, match="nothing like that is assigned to “work”"):
        await world.devices.unassign(work, lambda one: one.klass is BLOCK)
    assert await world.devices.unassign(work, lambda _one: True) == [camera]
    assert world.named("work").config.assignments == ()


@pytest.mark.parametrize(
    ("assignment", "error", "reason"),
    [
        (Assignment(BLOCK, ANY, ANY), BadInput, "the port or the ident may be"),
        (Assignment(USB, "usb-1", ANY, Mode.REQUIRED), Refused, "no domain can require a usb device"),
        (Assignment(MIC, "mic", ANY, Mode.REQUIRED), Refused, "no domain can require a mic device"),
        (Assignment(PCI, "00_1f.0", ANY), Refused, "assign it as required"),
        (Assignment(BLOCK, "sdb", ANY, options=(("speed", "9"),)), BadInput, "option: 'speed=9' cannot be used"),
        (Assignment(BLOCK, "sdb", ANY, options=(("bus", "ide"),)), BadInput, "bus: 'ide' cannot be used"),
    ],
)
async def test_what_could_never_come_is_not_assigned(
    driver_world: MakeWorld, assignment: Assignment, error: type[QubesManagerError], reason: str
) -> None:
    world = await driver_world([NewDomain("work", DomainConfig())])
    with pytest.raises(error, match=reason):
        await world.devices.assign(world.named("work").key, assignment)
    assert world.named("work").config.assignments == ()


async def test_what_is_done_at_once_is_not_lost(driver_world: MakeWorld) -> None:
    """Another program assigns something between the reading and the writing: both stay."""
    world = await driver_world([NewDomain("work", DomainConfig())])
    work = world.named("work").key
    before = world.named("work")
    await world.devices.assign(work, Assignment(BLOCK, "usb-1", ANY))
    # As one that has not heard of it yet.
    world.store.put([before])
    await world.devices.assign(work, Assignment(BLOCK, "usb-2", ANY))
    assert [one.port for one in world.named("work").config.assignments] == ["usb-1", "usb-2"]


async def test_a_pci_device_is_assigned_by_giving_it_and_unassigned_by_taking_it(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = world.domain("work", state=DomainState.HALTED)
    recorded: list[tuple[Assignment, ...]] = [()]

    async def change(_key: DomainKey, edit: Callable[[tuple[Assignment, ...]], tuple[Assignment, ...]]) -> None:
        recorded.append(edit(recorded[-1]))

    monkeypatch.setattr(world.devices, "_change", change)
    assignment = Assignment(PCI, CARD.location, CARD.ident, Mode.REQUIRED, (("speed", "1"),))
    for _time in range(2):
        # What it has already is not given once more.
        await world.devices.assign(work.key, assignment)
        assert world.kinds[PCI].calls == [("give", "work", CARD.port, "speed=1")]
        assert recorded[-1] == (assignment,)
    host_device = HostDevice(PCI, CARD.port, managed=True)
    others = replace(work, config=replace(work.config, host_devices=(host_device, HostDevice(USB, "1.4"))))
    # What another program put there is listed by where it is.
    assert world.devices.assignments(others) == [Assignment(PCI, CARD.port, ANY, Mode.REQUIRED)]
    world.put(replace(others, config=replace(others.config, assignments=(assignment,))))
    assert await world.devices.unassign(work.key, lambda one: one.klass is PCI) == [assignment]
    assert world.kinds[PCI].calls[1:] == [("take", "work", CARD.port)]
    assert recorded[-1] == ()


async def test_a_pci_device_is_not_assigned_where_it_is_denied_or_not_there(world: FakeWorld) -> None:
    bank = world.domain("bank", state=DomainState.HALTED, denied=("p02****",))
    with pytest.raises(Refused, match=r"“bank” is never to get pci 0000_02_00\.0"):
        await world.devices.assign(bank.key, Assignment(PCI, CARD.location, ANY, Mode.REQUIRED))
    with pytest.raises(NotFound, match="this machine has no pci device"):
        await world.devices.assign(bank.key, Assignment(PCI, "0000_09_00.0", ANY, Mode.REQUIRED))
    assert world.kinds[PCI].given == []


# What a user means by an assignment.


def test_an_assignment_is_by_the_port_the_ident_or_both() -> None:
    name = DeviceName("sdb")
    for port, ident, wanted in (
        (True, True, Assignment(BLOCK, "at-sdb", "Acme", Mode.AUTO)),
        (True, False, Assignment(BLOCK, "at-sdb", ANY, Mode.AUTO)),
        (False, True, Assignment(BLOCK, ANY, "Acme", Mode.AUTO)),
    ):
        assert assignment_of(STICK, BLOCK, name, Mode.AUTO, (), port=port, ident=ident) == wanted
    with pytest.raises(BadInput, match="not both"):
        assignment_of(STICK, BLOCK, name, Mode.AUTO, (), port=False, ident=False)


def test_what_is_not_there_is_meant_by_what_is_written() -> None:
    made = assignment_of(
        None, BLOCK, DeviceName("usb-1", "x"), Mode.ASK, [("b", "2"), ("a", "1")], port=True, ident=True
    )
    assert made == Assignment(BLOCK, "usb-1", "x", Mode.ASK, (("a", "1"), ("b", "2")))


def test_what_says_nothing_of_itself_is_refused_by_ident() -> None:
    silent = FakeDevice("sdb")
    with pytest.raises(Refused, match=r"dom0:sdb does not say what it is, so .* by its port alone \(--port\)"):
        assignment_of(silent, BLOCK, DeviceName("sdb"), Mode.AUTO, (), port=True, ident=True)
    with pytest.raises(Refused, match="dom0:usb-1 is not there: write its ident too, as dom0:usb-1:IDENT"):
        assignment_of(None, BLOCK, DeviceName("usb-1"), Mode.AUTO, (), port=False, ident=True)
    with pytest.raises(Refused, match="no domain can require a usb device"):
        assignment_of(CAMERA, USB, DeviceName("1-6"), Mode.REQUIRED, (), port=True, ident=False)
