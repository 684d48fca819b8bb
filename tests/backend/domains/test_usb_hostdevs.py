"""USB devices that come to real QEMU domains and go. Words of libvirt 9.0 and QEMU 7.2 are those that were seen."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.usb_hostdevs import attach_usb, detach_usb, port_of, usb_alias, usb_hostdev_xml
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.usb import UsbDevice
from qubes_manager.core.errors import HostCallFailed, NotFound, Refused, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind
from tests.usb_world import missing_programs, usb_world
from tests.waiting import PATIENCE

STICK = UsbDevice("1-4", 1, 4, "0781", "5581", "SanDisk", "Ultra", "4C53", ("u080650",))
KEYBOARD = UsbDevice("1-5.2", 1, 6, "046d", "c31c", "Logitech", "Keyboard", "", ("u030101",))
HELD = HostDevice(DeviceClass.USB, "1.4", "0781:5581", "ua-qubes-usb-1-4")
XHCI = "<controller type='usb' model='qemu-xhci'/>"


class Domains:
    """Domains of a connection that end with the test."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self.connection = connection
        self._uuids: list[str] = []

    async def run(self, name: str, devices: str = XHCI) -> str:
        """Define and start one, and return its UUID."""
        xml = (
            f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
            f"<devices>{devices}</devices></domain>"
        )
        domain = await self.connection.call("define", lambda raw: raw.defineXML(xml))
        uuid = str(domain.UUIDString())
        self.connection.handles[uuid] = domain
        self._uuids.append(uuid)
        await self.connection.on_domain(uuid, "start", lambda domain: domain.create(), timeout=120)
        return uuid

    async def has(self, uuid: str) -> tuple[HostDevice, ...]:
        """What its XML says."""
        return parse_config(await self.connection.on_domain(uuid, "read", lambda d: d.XMLDesc())).host_devices

    async def end(self) -> None:
        for uuid in self._uuids:
            await self.connection.on_domain(uuid, "end", lambda d: (d.isActive() and d.destroy(), d.undefine()))


@pytest.fixture(scope="module")
def world() -> Iterator[str]:
    if missing := missing_programs():
        pytest.skip(f"no USB devices can be made here without {', '.join(missing)}")
    with usb_world() as made:
        yield made


@pytest.fixture
async def domains(world: str) -> AsyncIterator[Domains]:
    connection = LibvirtConnection(world, watch=True)
    await connection.open()
    made = Domains(connection)
    try:
        yield made
    finally:
        await made.end()
        await connection.close()


def test_a_device_is_named_by_what_it_is_and_where() -> None:
    xml = usb_hostdev_xml(KEYBOARD)
    for part in (
        'vendor id="0x046d"',
        'product id="0xc31c"',
        'address bus="1" device="6"',
        'name="ua-qubes-usb-1-5_2"',
    ):
        assert part in xml


def test_its_name_in_libvirt_says_its_port() -> None:
    for port in ("1-4", "1-5.2", "10-1.2.3"):
        assert port_of(usb_alias(port)) == port
    for alias in ("hostdev0", "ua-qubes-usb-", "ua-qubes-usb-1-4/..", "ua-mine-1-4"):
        assert port_of(alias) == ""


async def test_a_device_comes_to_a_running_domain_and_goes(domains: Domains) -> None:
    uuid = await domains.run("work")
    assert await attach_usb(domains.connection, uuid, "work", STICK) == HELD.alias
    # A dot would be refused by libvirt.
    assert await attach_usb(domains.connection, uuid, "work", KEYBOARD) == "ua-qubes-usb-1-5_2"
    assert [one.address for one in await domains.has(uuid)] == ["1.4", "1.6"]
    stored = await domains.connection.on_domain(uuid, "read", lambda d: d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    assert parse_config(stored).host_devices == ()
    gone = await detach_usb(domains.connection, uuid, "work", HELD.alias, STICK.name)
    assert (gone.is_over, gone.comes_back) == (True, False)
    assert [one.address for one in await domains.has(uuid)] == ["1.6"]
    with pytest.raises(NotFound, match="“work” does not have “SanDisk Ultra”"):
        await detach_usb(domains.connection, uuid, "work", HELD.alias, STICK.name)
    assert await attach_usb(domains.connection, uuid, "work", STICK) == HELD.alias
    assert HELD in await domains.has(uuid)


async def test_a_device_is_one_domain_s(domains: Domains) -> None:
    first, second = await domains.run("work"), await domains.run("mail")
    await attach_usb(domains.connection, first, "work", STICK)
    with pytest.raises(Refused, match="“work” has “SanDisk Ultra” already"):
        await attach_usb(domains.connection, first, "work", STICK)
    with pytest.raises(Refused, match="“work” has “SanDisk Ultra”: detach it there first"):
        await attach_usb(domains.connection, second, "mail", STICK)
    assert await domains.has(second) == ()
    await domains.connection.on_domain(first, "end", lambda domain: domain.destroy())
    await attach_usb(domains.connection, second, "mail", STICK)


async def test_nothing_else_comes_that_got_the_numbers(domains: Domains) -> None:
    uuid = await domains.run("work")
    for other in (replace(STICK, product_id="0001"), replace(STICK, number=6), replace(STICK, number=9)):
        with pytest.raises(NotFound, match="is not plugged in any more, or anew: list the devices again"):
            await attach_usb(domains.connection, uuid, "work", other)
    assert await domains.has(uuid) == ()


async def test_what_is_left_of_an_unplugged_device_makes_room_for_the_next(domains: Domains) -> None:
    uuid = await domains.run("work")
    # It was at the port where the keyboard is now.
    before = replace(STICK, port=KEYBOARD.port)
    alias = await attach_usb(domains.connection, uuid, "work", before)
    assert await attach_usb(domains.connection, uuid, "work", KEYBOARD) == alias
    assert [(one.address, one.alias) for one in await domains.has(uuid)] == [("1.6", alias)]


async def test_one_that_its_configuration_brings_back_is_said(domains: Domains) -> None:
    stored = (
        "<hostdev mode='subsystem' type='usb'><source startupPolicy='optional'><vendor id='0x0781'/>"
        "<product id='0x5581'/></source></hostdev>"
    )
    uuid = await domains.run("work", XHCI + stored)
    (held,) = await domains.has(uuid)
    assert (held.address, held.product) == ("1.4", "0781:5581")
    assert (await detach_usb(domains.connection, uuid, "work", held.alias, STICK.name)).comes_back


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ("<controller type='usb' model='none'/>", "“work” has no USB controller: shut it down, give it one"),
        ("<controller type='usb' model='qemu-xhci' ports='1'/><input type='tablet' bus='usb'/>", "no free USB port"),
    ],
)
async def test_a_domain_without_a_place_says_so(domains: Domains, devices: str, reason: str) -> None:
    uuid = await domains.run("work", devices)
    with pytest.raises(Refused, match=reason):
        await attach_usb(domains.connection, uuid, "work", STICK)


class Says:
    """A domain whose libvirt answers with an error."""

    def __init__(self, text: str) -> None:
        self._text = text

    def XMLDesc(self, _flags: int) -> str:
        return "<domain><devices/></domain>"

    def attachDeviceFlags(self, _xml: str, _flags: int) -> None:
        error = libvirt.libvirtError("")
        error.err = (1, 10, self._text, 2, None, None, None, -1, -1)
        raise error


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        (
            "internal error: unable to execute QEMU command 'device_add': failed to open /dev/bus/usb/001/004: "
            "Permission denied",
            Refused,
            "may not be opened by the user whom QEMU runs as",
        ),
        (
            "internal error: unable to execute QEMU command 'device_add': failed to open host usb device "
            "/dev/bus/usb/001/004",
            Refused,
            "QEMU could not open “SanDisk Ultra”: another program may have it",
        ),
        ("something else", HostCallFailed, "cannot attach “SanDisk Ultra” to “work”: something else"),
    ],
)
async def test_other_errors_are_said_too(
    driver: LibvirtConnection, text: str, error: type[Exception], reason: str
) -> None:
    driver.handles["x"] = Says(text)
    with pytest.raises(error, match=reason):
        await attach_usb(driver, "x", "work", STICK)


class Keeps(Says):
    """A domain that libvirt does not take the device from; *asked* hears of it."""

    def __init__(self, text: str, asked: Callable[[], object] = lambda: None) -> None:
        super().__init__(text)
        self._asked = asked

    def XMLDesc(self, _flags: int) -> str:
        return f"<domain><devices>{usb_hostdev_xml(STICK)}</devices></domain>"

    def isActive(self) -> bool:
        return True

    def isPersistent(self) -> bool:
        return False

    def detachDeviceFlags(self, _xml: str, _flags: int) -> None:
        self._asked()


async def test_a_device_that_does_not_go_is_said_to_stay(driver: LibvirtConnection) -> None:
    driver.handles["x"] = Keeps("")
    with pytest.raises(TimedOut, match=r"“work” does not let go of “SanDisk Ultra”: .* Until then it has it"):
        await detach_usb(driver, "x", "work", usb_alias(STICK.port), STICK.name, timeout=0.1)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (DomainEventKind.DEVICE_REMOVED, None),
        (DomainEventKind.STOPPED, None),
        (DomainEventKind.DEVICE_REMOVAL_FAILED, Refused),
    ],
)
async def test_libvirt_s_event_is_waited_for(
    driver: LibvirtConnection, kind: DomainEventKind, error: type[Exception] | None
) -> None:
    alias = usb_alias(STICK.port)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    driver.handles["x"] = Keeps("", lambda: loop.call_soon_threadsafe(asked.set))
    detaching = asyncio.create_task(detach_usb(driver, "x", "work", alias, STICK.name, timeout=60))
    await asyncio.wait_for(asked.wait(), PATIENCE)
    # Another device is not meant, nor another domain.
    driver.announce(DomainEvent("x", kind=DomainEventKind.DEVICE_REMOVED, detail="usb-disk0"))
    driver.announce(DomainEvent("y", kind=kind, detail=alias))
    await asyncio.sleep(0.05)
    assert not detaching.done()
    driver.announce(DomainEvent("x", kind=kind, detail=alias))
    if error:
        with pytest.raises(error, match="“work” refuses to let go of “SanDisk Ultra”"):
            await detaching
    else:
        assert (await detaching).is_over
