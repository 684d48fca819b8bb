"""Who may have a USB device. What libvirt and QEMU make of it is in tests/backend/domains/test_usb_hostdevs.py."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.backend.domains.usb_hostdevs import Detached
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.usb import UsbDevice
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import BadInput, NotFound, Refused, TimedOut
from qubes_manager.services.devices import usb_devices
from qubes_manager.services.devices.kind import DeviceKind, Holder
from qubes_manager.services.devices.usb_devices import UsbDevices
from qubes_manager.services.hosts.image_uses import ImageUses
from tests.driver import RUNNING
from tests.services.conftest import MakeWorld, World

STICK = UsbDevice("1-4", 1, 4, "0781", "5581", "SanDisk", "Ultra", "4C53", ("u080650",))
KEYBOARD = UsbDevice("1-5", 1, 5, "046d", "c31c", "Logitech", "Keyboard", "", ("u030101",))
HELD = HostDevice(DeviceClass.USB, "1.4", "0781:5581", "ua-qubes-usb-1-4")


class Machine:
    """A machine's USB devices, and what was done with them: this one's kernel knows none."""

    def __init__(self) -> None:
        self.devices = [STICK, KEYBOARD]
        self.said: list[tuple[str, ...]] = []
        self.comes_back = False

    async def list(self, _connection: object) -> list[UsbDevice]:
        return self.devices

    @contextlib.asynccontextmanager
    async def access(self, uri: str, bus: int, number: int, name: str) -> AsyncIterator[None]:
        self.said.append(("open", str(bus), str(number), name))
        yield
        self.said.append(("close",))

    async def attach(self, _connection: object, _uuid: str, name: str, device: UsbDevice) -> str:
        self.said.append(("attach", name, device.address))
        return HELD.alias

    async def detach(self, _connection: object, _uuid: str, name: str, alias: str, device: str) -> Detached:
        self.said.append(("detach", name, alias, device))
        return Detached(True, self.comes_back)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(usb_devices, "list_usb_devices", made.list)
    monkeypatch.setattr(usb_devices, "usb_access", made.access)
    monkeypatch.setattr(usb_devices, "attach_usb", made.attach)
    monkeypatch.setattr(usb_devices, "detach_usb", made.detach)
    return made


@pytest.fixture
async def world(driver_world: MakeWorld) -> World:
    """work and mail run, the latter with the drive /dev/sdb as a disk; old is halted."""
    domains = [
        NewDomain("work", DomainConfig()),
        NewDomain("mail", DomainConfig(), disks=(DiskSpec("/dev/sdb", "raw"),)),
        NewDomain("old", DomainConfig()),
    ]
    return await driver_world(domains, states={"work": RUNNING, "mail": RUNNING})


def usb(world: World) -> UsbDevices:
    return UsbDevices(world.hosts, world.store, ImageUses(world.hosts, world.store))


def hold(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a domain have the stick, however often its XML is read."""
    domain = world.named(name)
    world.store.put([replace(domain, config=replace(domain.config, host_devices=(HELD,)))])

    async def stays(_uri: str) -> None:
        pass

    monkeypatch.setattr(world.hosts, "refresh_host", stays)


async def test_a_device_goes_to_a_running_domain_and_comes_back(world: World, machine: Machine) -> None:
    kind: DeviceKind = usb(world)
    work = world.named("work")
    assert kind.klass is DeviceClass.USB
    assert await kind.give(work.key, STICK, {}) == HELD.alias
    # The user has the node only until QEMU has the device.
    assert machine.said == [("open", "1", "4", STICK.name), ("attach", "work", "1.4"), ("close",)]
    machine.said.clear()
    said = await kind.take(Holder(work, HELD.alias), STICK)
    assert machine.said == [("detach", "work", HELD.alias, STICK.name)]
    assert said == "“work” does not have “SanDisk Ultra” any more; dom0 has it again"
    machine.comes_back = True
    assert "until the next start of “work”" in await kind.take(Holder(work, HELD.alias), STICK, force=True)


async def test_what_runs_has_no_options_and_what_does_not_run_gets_nothing(world: World, machine: Machine) -> None:
    with pytest.raises(BadInput, match="a usb device has no options"):
        await usb(world).give(world.named("work").key, STICK, {"read-only": "yes"})
    with pytest.raises(Refused, match="“old” does not run: start it first, or assign the device to it"):
        await usb(world).give(world.named("old").key, STICK, {})
    with pytest.raises(Refused, match="dom0 is this machine"):
        await usb(world).give(world.named("dom0").key, STICK, {})
    assert machine.said == []


async def test_the_domain_that_has_it_is_named(world: World, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(world, "mail", monkeypatch)
    stick, keyboard = await usb(world).offered(world.uri)
    assert (stick.used_by, keyboard.used_by) == (f"mail ({HELD.alias})", "")
    assert stick.holders == (Holder(world.named("mail"), HELD.alias),)
    with pytest.raises(Refused, match="“mail” has “SanDisk Ultra”: detach it there first"):
        await usb(world).give(world.named("work").key, STICK, {})
    with pytest.raises(Refused, match="“mail” has “SanDisk Ultra” already"):
        await usb(world).give(world.named("mail").key, STICK, {})
    await usb(world).give(world.named("work").key, KEYBOARD, {})


async def test_what_a_domain_has_is_found_though_it_was_unplugged(
    world: World, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(world, "work", monkeypatch)
    work = world.named("work")
    assert await usb(world).held(work) == [(STICK, Holder(work, HELD.alias))]
    assert await usb(world).held(world.named("mail")) == []
    # Another one is at its port now, and got its number.
    machine.devices = [replace(KEYBOARD, port="1-4", number=4)]
    ((device, holder),) = await usb(world).held(work)
    assert (device.port, device.ident, device.name) == ("1-4", "0781:5581::uxxxxxx", "USB device")
    machine.devices = []
    assert await usb(world).take(holder, device) == "“work” does not have USB device any more; it is not plugged in"

    async def fails(_connection: object) -> list[UsbDevice]:
        raise TimedOut("lsblk did not finish within 30 s")

    monkeypatch.setattr(usb_devices, "list_usb_devices", fails)
    assert len(await usb(world).held(work)) == 1
    assert await usb(world).take(holder, device) == "“work” does not have USB device any more"


async def test_one_that_would_have_it_at_its_start_does_not_have_it_now(
    world: World, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(world, "old", monkeypatch)
    assert (await usb(world).offered(world.uri))[0].holders == ()


async def test_only_what_was_chosen_is_given(world: World, machine: Machine) -> None:
    work = world.named("work").key
    # Plugged in anew: it is the same one, by another number.
    machine.devices = [replace(STICK, number=9)]
    await usb(world).give(work, STICK, {})
    assert ("attach", "work", "1.9") in machine.said
    machine.said.clear()
    machine.devices = [replace(STICK, interfaces=("u080650", "u030101"))]
    with pytest.raises(Refused, match="at 1-4 there is another device"):
        await usb(world).give(work, STICK, {})
    machine.devices = []
    with pytest.raises(NotFound, match="this machine has no usb device dom0:1-4"):
        await usb(world).give(work, STICK, {})
    assert machine.said == []


async def test_what_the_host_or_a_domain_does_with_its_drive_is_named(world: World, machine: Machine) -> None:
    work = world.named("work").key
    machine.devices = [replace(STICK, in_use="disk sdb is mounted at /media/x", drives=("/dev/sdb",))]
    with pytest.raises(Refused, match="dom0 uses “SanDisk Ultra” at 1-4: disk sdb is mounted at /media/x"):
        await usb(world).give(work, STICK, {})
    machine.devices = [replace(STICK, drives=("/dev/sdb", "/dev/sdb1"))]
    with pytest.raises(Refused, match="“mail” has a drive in “SanDisk Ultra” as vda: detach it there first"):
        await usb(world).give(work, STICK, {})
    assert machine.said == []
    machine.devices = [replace(STICK, drives=("/dev/sdc",))]
    await usb(world).give(work, STICK, {})


async def test_connections_of_one_machine_share_its_devices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, system, far = usb(world), "qemu:///system", "qemu+ssh://far/system"
    monkeypatch.setattr(type(world.hosts), "uris", ["qemu:///session", system, far, world.uri])
    assert list(kind._same_host(system)) == [system, "qemu:///session"]
    assert list(kind._same_host(far)) == [far]
    assert list(kind._same_host(world.uri)) == [world.uri]


async def test_keyboards_are_warned_of_and_other_kinds_are_not_ours(world: World) -> None:
    assert "unable to type" in usb(world).warnings(KEYBOARD)[0]
    assert usb(world).warnings(STICK) == usb(world).warnings(BlockDevice("/dev/sdb")) == []
