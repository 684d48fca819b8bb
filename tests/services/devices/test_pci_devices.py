"""Giving PCI devices to halted domains: what is refused, and what goes along. libvirt's part of it is in
tests/backend/domains/test_pci_hostdevs.py; here it is written down what it is asked for."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.core.devices.assignment import Assignment, Mode
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass, parse_device_name
from qubes_manager.core.devices.pci import PciDevice, PciHost
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.services.devices import pci_devices as service
from qubes_manager.services.devices.kind import DeviceKind, Holder
from qubes_manager.services.devices.pci_devices import PciDevices
from tests.driver import RUNNING
from tests.services.conftest import MakeWorld, World

USB = PciDevice("0000:00:14.0", "0c0330", "8086", "a0ed", driver="xhci_hcd", group=5, can_reset=True, is_local=True)
CARD = replace(
    USB, address="0000:01:00.0", class_code="020000", group=7, members=("0000:01:00.0", "0000:01:00.1", "0000:00:1c.0")
)
OTHER = replace(CARD, address="0000:01:00.1")
BRIDGE = replace(CARD, address="0000:00:1c.0", class_code="060400", driver="pcieport")
DISK = replace(USB, address="0000:00:17.0", class_code="010601", group=8, uses=("sda (mounted at /)",))
ALL = [USB, CARD, OTHER, BRIDGE, DISK]


class Machine:
    """What libvirt has of devices, and what it was asked for."""

    def __init__(self) -> None:
        self.devices = list(ALL)
        self.host = PciHost("qemu:///system", has_iommu=True)
        self.put: list[tuple[str, list[str]]] = []
        self.taken: list[tuple[str, list[str]]] = []

    async def list_pci_devices(self, _connection: LibvirtConnection) -> list[PciDevice]:
        return self.devices

    async def pci_host(self, _connection: LibvirtConnection) -> PciHost:
        return self.host

    async def put_pci(self, _connection: LibvirtConnection, _key: DomainKey, name: str, ports: Collection[str]) -> None:
        self.put.append((name, list(ports)))

    async def take_pci(
        self, _connection: LibvirtConnection, _key: DomainKey, name: str, ports: Collection[str]
    ) -> None:
        self.taken.append((name, list(ports)))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    for name in ("list_pci_devices", "pci_host", "put_pci", "take_pci"):
        monkeypatch.setattr(service, name, getattr(found, name))
    return found


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    names = ("work", "play", "busy")
    return await driver_world([NewDomain(name, DomainConfig()) for name in names], states={"busy": RUNNING})


def kind(world: World) -> PciDevices:
    return PciDevices(world.hosts, world.store)


def holds(world: World, name: str, port: str, element: str = "hostdev") -> Domain:
    """A domain that has a device already."""
    domain = world.named(name)
    held = HostDevice(DeviceClass.PCI, port, element=element)
    domain = replace(domain, config=replace(domain.config, host_devices=(held,)))
    world.store.put([domain])
    return domain


async def test_what_is_offered_with_who_has_it(world: World, machine: Machine) -> None:
    holds(world, "play", USB.port)
    pci: DeviceKind = kind(world)
    offered = await pci.offered(world.uri)
    assert [one.device for one in offered] == [USB, CARD, OTHER, DISK], "bridges nobody can have"
    assert [holder.domain.name for holder in offered[0].holders] == ["play"] and offered[0].holders[0].later
    assert offered[0].used_by == "play (0000_00_14.0)" and offered[3].used_by == "sda (mounted at /)"


async def test_what_a_domain_has_is_named_also_when_the_machine_has_it_no_more(world: World, machine: Machine) -> None:
    pci: DeviceKind = kind(world)
    assert await pci.held(holds(world, "play", USB.port)) == [(USB, Holder(world.named("play"), USB.port, later=True))]
    assert await pci.held(holds(world, "play", USB.port, "interface")) == []
    machine.devices = []
    [(device, _holder)] = await pci.held(holds(world, "work", USB.port))
    assert device.port == USB.port
    with pytest.raises(NotFound):
        await pci.find(world.uri, parse_device_name(USB.port))
    await pci.take(Holder(world.named("work"), USB.port), device)
    assert machine.taken == [("work", [USB.port])]


async def test_it_is_given_alone_or_with_what_of_its_group_is_in_use(world: World, machine: Machine) -> None:
    key = world.named("work").key
    assert await kind(world).give(key, USB, {}) == USB.port
    await kind(world).give(key, CARD, {})
    assert machine.put == [("work", [USB.port]), ("work", [CARD.port, OTHER.port])]
    check = await kind(world).check(world.uri, CARD, {})
    assert not check.reasons and check.along == (OTHER,)


@pytest.mark.parametrize(
    ("device", "name", "words"),
    [
        (DISK, "work", "0000_00_17.0 cannot be given to “work”: dom0 uses it: sda"),
        (USB, "busy", "“busy” is running: shut it down first"),
    ],
)
async def test_what_the_rules_are_against_is_refused(
    world: World, machine: Machine, device: PciDevice, name: str, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await kind(world).give(world.named(name).key, device, {})
    assert not machine.put


async def test_without_an_iommu_it_says_all_that_is_in_the_way(world: World, machine: Machine) -> None:
    machine.host = PciHost("qemu:///session", has_iommu=False)
    with pytest.raises(Refused, match=r"ordinary user’s libvirt.*; dom0 runs without an IOMMU"):
        await kind(world).give(world.named("work").key, USB, {})


async def test_it_looks_at_the_device_as_it_is_now(world: World, machine: Machine) -> None:
    key = world.named("work").key
    machine.devices[0] = replace(USB, uses=("disk sdb (mounted at /media)",))
    with pytest.raises(Refused, match="dom0 uses it"):
        await kind(world).give(key, USB, {})
    machine.devices[0] = replace(USB, product_id="ffff")
    with pytest.raises(Refused, match="there is another device by now"):
        await kind(world).give(key, USB, {})
    machine.devices = []
    with pytest.raises(NotFound, match="no pci device 0000_00_14"):
        await kind(world).give(key, USB, {})


async def test_a_strict_reset_is_asked_for_unless_it_is_said(world: World, machine: Machine) -> None:
    key = world.named("work").key
    machine.devices[0] = replace(USB, can_reset=False)
    with pytest.raises(Refused, match="cannot be reset"):
        await kind(world).give(key, USB, {})
    await kind(world).give(key, USB, {"no-strict-reset": "yes"})
    assert machine.put == [("work", [USB.port])]
    with pytest.raises(Refused, match="Xen"):
        await kind(world).give(key, USB, {"permissive": "yes"})


@pytest.mark.parametrize("port", [CARD.port, OTHER.port])
async def test_another_domain_that_has_it_or_a_part_of_its_group_is_named(
    world: World, machine: Machine, port: str
) -> None:
    holds(world, "play", port)
    with pytest.raises(Refused, match=f"“play” has {port}: take it away there first"):
        await kind(world).give(world.named("work").key, CARD, {})


@pytest.mark.parametrize("denied", [OTHER, CARD])
async def test_no_part_of_its_group_is_one_that_the_domain_never_gets(
    world: World, machine: Machine, denied: PciDevice
) -> None:
    machine.devices = [replace(one, class_code="030000") if one == denied else one for one in ALL]
    machine.devices.append(replace(USB, address="0000:00:02.0", class_code="030000", group=1))
    [card] = [one for one in machine.devices if one.port == CARD.port]
    work = world.named("work")
    world.store.put([replace(work, config=replace(work.config, devices_denied=("p03****",)))])
    with pytest.raises(Refused, match=rf"“work” is never to get graphics card \({denied.address}.*has p03"):
        await kind(world).give(work.key, card, {})
    assert not machine.put


async def test_who_has_it_already_hears_that(world: World, machine: Machine) -> None:
    holds(world, "work", USB.port)
    with pytest.raises(Refused, match=r"“work” has 0000_00_14.+ already"):
        await kind(world).give(world.named("work").key, USB, {})


async def test_it_is_taken_back_with_its_group_from_a_halted_domain_alone(world: World, machine: Machine) -> None:
    said = await kind(world).take(Holder(holds(world, "work", CARD.port), CARD.port, later=True), CARD)
    assert machine.taken == [("work", ["0000_00_1c.0", CARD.port, OTHER.port])]
    assert "“work” starts without 0000_01_00.0" in said
    with pytest.raises(Refused, match="“busy” is running"):
        await kind(world).take(Holder(holds(world, "busy", USB.port), USB.port), USB)
    with pytest.raises(BadInput, match="halted domain only"):
        await kind(world).take(Holder(world.named("work"), USB.port), USB, force=True)


ASSIGNED = Assignment(DeviceClass.PCI, CARD.location, CARD.ident, Mode.REQUIRED)


def starts(
    world: World, *ports: str, assigned: Collection[Assignment] = (), denied: tuple[str, ...] = (), element: str = ""
) -> Domain:
    """A domain that starts with devices."""
    work = world.named("work")
    held = tuple(HostDevice(DeviceClass.PCI, port, element=element or "hostdev") for port in ports)
    config = replace(work.config, host_devices=held, assignments=tuple(assigned), devices_denied=denied)
    return replace(work, config=config)


@pytest.mark.parametrize("assigned", [[], [ASSIGNED]])
async def test_a_domain_starts_with_what_it_was_given(
    world: World, machine: Machine, assigned: list[Assignment]
) -> None:
    pci: DeviceKind = kind(world)
    await pci.require(starts(world, CARD.port, OTHER.port, assigned=assigned))
    # A group's others go along without a word of them; what cannot be seen was the business of who gave it.
    machine.devices = [replace(one, is_local=False) for one in ALL]
    await pci.require(starts(world, CARD.port, OTHER.port, assigned=assigned))
    # It has nothing of its own: what others made of devices is theirs, and detached is what it did not keep.
    machine.devices = []
    await pci.require(starts(world, DISK.port, element="interface"))
    await pci.require(starts(world, assigned=[ASSIGNED]))


async def test_a_domain_does_not_start_with_what_is_gone(world: World, machine: Machine) -> None:
    machine.devices = [USB]
    words = r"starts with the pci device 0000_01_00.0, which .* any more: put it in again, or take it away \(qvm-device"
    with pytest.raises(Refused, match=words):
        await kind(world).require(starts(world, CARD.port, assigned=[ASSIGNED]))


@pytest.mark.parametrize(
    "other",
    [
        # In its slot, and at its address behind another bridge when buses are numbered anew.
        replace(CARD, product_id="ffff"),
        replace(CARD, place="00_1d.0-00_00.0"),
        replace(CARD, vendor_id=""),
    ],
)
@pytest.mark.parametrize("along", [[], [OTHER.port]])
async def test_a_domain_does_not_start_with_another_device(
    world: World, machine: Machine, other: PciDevice, along: list[str]
) -> None:
    machine.devices[1] = other
    domain = starts(world, *along, CARD.port, assigned=[ASSIGNED])
    with pytest.raises(Refused, match=r"starts with 0000_01_00.., where there is another device by now than the one"):
        await kind(world).require(domain)


async def test_of_several_the_one_that_was_replaced_is_named(world: World, machine: Machine) -> None:
    machine.devices[1] = replace(CARD, product_id="ffff")
    with pytest.raises(Refused, match=r"with 0000_01_00.0,.*8086:ffff.*Put the other one in again, or take it away"):
        await kind(world).require(starts(world, USB.port, CARD.port, assigned=[ASSIGNED]))


async def test_one_that_was_taken_back_does_not_keep_the_others_from_starting(world: World, machine: Machine) -> None:
    other = Assignment(DeviceClass.PCI, USB.location, USB.ident, Mode.REQUIRED)
    await kind(world).require(starts(world, CARD.port, OTHER.port, assigned=[ASSIGNED, other]))


async def test_a_domain_does_not_start_with_what_the_host_uses_by_now_or_it_never_gets(
    world: World, machine: Machine
) -> None:
    with pytest.raises(Refused, match=r"dom0 uses it: sda \(mounted at /\). Put that right first, or take it away"):
        await kind(world).require(starts(world, DISK.port))
    with pytest.raises(Refused, match=r"is never to get network controller .* its devices_denied has p02"):
        await kind(world).require(starts(world, USB.port, CARD.port, denied=("p02****",)))


async def test_it_starts_as_it_was_given_with_one_that_cannot_be_reset(world: World, machine: Machine) -> None:
    machine.devices[1] = replace(CARD, can_reset=False)
    await kind(world).require(starts(world, CARD.port))
    await kind(world).require(
        starts(world, CARD.port, assigned=[replace(ASSIGNED, options=(("no-strict-reset", "yes"),))])
    )
    with pytest.raises(Refused, match="cannot be reset"):
        await kind(world).require(starts(world, CARD.port, assigned=[ASSIGNED]))


async def test_what_others_made_of_it_is_left_to_them(world: World, machine: Machine) -> None:
    holder = Holder(holds(world, "work", CARD.port, "interface"), CARD.port)
    with pytest.raises(Refused, match="as its interface, which another program made"):
        await kind(world).take(holder, CARD)
    assert not machine.taken
