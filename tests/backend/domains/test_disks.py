"""Disks that come and go: in the configuration of real QEMU domains, and with guests that keep them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.disks import attach_disk, change_medium, detach_disk, disk_xml
from qubes_manager.core.devices.block import OPTICAL_DRIVE, BlockDevice, DiskRequest, request_of
from qubes_manager.core.errors import HostCallFailed, HostUnreachable, NotFound, QubesManagerError, Refused, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind

UUID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
STICK = (
    "<disk type='file' device='disk'><alias name='usb-disk0'/><source file='/a'/><target dev='sda' bus='usb'/></disk>"
)
BARE = f"""
<domain type='qemu'><name>disks</name><uuid>{UUID}</uuid><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk></devices></domain>
"""


def canonical(xml: str) -> str:
    text: str = etree.canonicalize(xml, strip_text=True)
    return text


def test_a_disk_that_is_attached_is_a_device_or_a_file() -> None:
    device = disk_xml(DiskRequest("/dev/sdb", True, bus="scsi", read_only=True, serial="a&b"), "sda")
    assert canonical(device) == canonical(
        '<disk type="block" device="disk"><driver name="qemu" type="raw" error_policy="report" '
        'rerror_policy="report" discard="unmap"/><source dev="/dev/sdb"/>'
        '<backingStore/><target dev="sda" bus="scsi"/><serial>a&amp;b</serial><readonly/></disk>'
    )
    image = disk_xml(DiskRequest("/a.qcow2", False, "qcow2"), "sdb")
    assert canonical(image) == canonical(
        '<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="/a.qcow2"/>'
        '<backingStore/><target dev="sdb" bus="usb"/><serial>dom0-sdb</serial></disk>'
    )
    served = disk_xml(DiskRequest("/dev/sdb", True, socket="/run/devices/a/1.socket"), "sda")
    assert canonical(served) == canonical(
        '<disk type="network" device="disk"><driver name="qemu" type="raw" error_policy="report" '
        'rerror_policy="report" discard="unmap"/><source protocol="nbd" name="/dev/sdb">'
        '<host transport="unix" socket="/run/devices/a/1.socket"/></source>'
        '<backingStore/><target dev="sda" bus="usb"/><serial>dom0-sda</serial></disk>'
    )
    config = parse_config(f"<domain type='qemu'><devices>{served}{device}</devices></domain>")
    assert [(disk.source, disk.socket) for disk in config.disks] == [
        ("/dev/sdb", "/run/devices/a/1.socket"),
        ("/dev/sdb", ""),
    ]


@pytest.fixture
async def halted(qemu: LibvirtConnection) -> AsyncIterator[LibvirtConnection]:
    """A connection whose domain “disks” is halted and has an empty CD-ROM drive."""
    qemu.handles[UUID] = await qemu.call("define", lambda raw: raw.defineXML(BARE))
    yield qemu
    await qemu.on_domain(UUID, "undefine", lambda domain: domain.undefine())


async def sources(connection: LibvirtConnection) -> dict[str, str]:
    xml = await connection.on_domain(UUID, "read", lambda domain: domain.XMLDesc())
    return {disk.target: disk.source for disk in parse_config(xml).disks}


async def test_a_halted_domain_keeps_what_is_attached_on_the_first_free_target(halted: LibvirtConnection) -> None:
    first = await attach_disk(halted, UUID, "disks", DiskRequest("/a.img", False))
    second = await attach_disk(halted, UUID, "disks", DiskRequest("/b.img", False, target="sdx"))
    # The drive has sdb already.
    third = await attach_disk(halted, UUID, "disks", DiskRequest("/c.img", False))
    assert (first, second, third) == ("sda", "sdx", "sdc")
    assert await sources(halted) == {"sdb": "", "sda": "/a.img", "sdx": "/b.img", "sdc": "/c.img"}
    await detach_disk(halted, UUID, "disks", "sda")
    assert "sda" not in await sources(halted)
    with pytest.raises(NotFound, match="“disks” has no disk sda"):
        await detach_disk(halted, UUID, "disks", "sda")


async def test_a_drive_that_burns_discs_takes_commands_from_the_domain(halted: LibvirtConnection) -> None:
    request = request_of(BlockDevice("/dev/sr0", OPTICAL_DRIVE, read_only=True), {"devtype": "lun"}, persistent=True)
    target = await attach_disk(halted, UUID, "disks", request)
    xml = await halted.on_domain(UUID, "read", lambda domain: domain.XMLDesc())
    disk = next(d for d in parse_config(xml).disks if d.target == target)
    assert (disk.kind, disk.bus, disk.source, disk.read_only) == ("lun", "scsi", "/dev/sr0", False)
    await detach_disk(halted, UUID, "disks", target)


async def test_a_machine_that_cannot_hot_plug_keeps_what_it_has_now_and_for_later(
    qemu: LibvirtConnection, shared_folder: Path
) -> None:
    images = [shared_folder / name for name in ("a.img", "b.img")]
    for image in images:
        image.write_bytes(bytes(1 << 20))
        image.chmod(0o666)
    # i440fx without ACPI.
    old = BARE.replace("q35", "pc").replace("sata", "ide").replace("'sdb'", "'hdb'")
    first, second = (DiskRequest(str(image), False, bus="virtio", persistent=True) for image in images)
    qemu.handles[UUID] = await qemu.call("define", lambda raw: raw.defineXML(old))
    try:
        target = await attach_disk(qemu, UUID, "disks", first)
        await qemu.on_domain(UUID, "start", lambda domain: domain.create(), timeout=60)

        async def has() -> list[str]:
            flags = (0, libvirt.VIR_DOMAIN_XML_INACTIVE)
            return await qemu.on_domain(UUID, "read", lambda domain: [domain.XMLDesc(flag) for flag in flags])

        before = await has()
        with pytest.raises(HostCallFailed, match="does not support hotplugging"):
            await detach_disk(qemu, UUID, "disks", target)
        with pytest.raises(HostCallFailed, match="does not support hotplugging"):
            await attach_disk(qemu, UUID, "disks", second)
        assert await has() == before
        await qemu.on_domain(UUID, "kill", lambda domain: domain.destroy())
    finally:
        await qemu.on_domain(UUID, "undefine", lambda domain: domain.undefine())


async def test_a_disc_is_the_bytes_of_its_file_and_what_else_the_drive_has_stays(halted: LibvirtConnection) -> None:
    drive = """<disk type='file' device='cdrom'><driver name='qemu' type='qcow2' cache='none'/>
    <source file='/old.qcow2' startupPolicy='optional'/><target dev='sdc' bus='sata'/><serial>S</serial>
    <readonly/></disk>"""
    config = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    await halted.on_domain(UUID, "attach", lambda domain: domain.attachDeviceFlags(drive, config))
    await change_medium(halted, UUID, "disks", "sdc", "/some.qcow2", False)
    xml = etree.fromstring(await halted.on_domain(UUID, "read", lambda domain: domain.XMLDesc()))
    (found,) = (disk for disk in xml.iterfind("devices/disk") if disk.find("target[@dev='sdc']") is not None)
    driver, source = found.find("driver"), found.find("source")
    assert driver is not None and source is not None
    assert (driver.get("type"), driver.get("cache"), source.get("file")) == ("raw", "none", "/some.qcow2")
    assert (found.findtext("serial"), found.find("readonly") is not None) == ("S", True)


async def test_a_disc_goes_into_a_drive_and_nowhere_else(halted: LibvirtConnection) -> None:
    await attach_disk(halted, UUID, "disks", DiskRequest("/a.img", False))
    await change_medium(halted, UUID, "disks", "sdb", "/disc.iso", False)
    assert (await sources(halted))["sdb"] == "/disc.iso"
    await change_medium(halted, UUID, "disks", "sdb", "", False)
    assert (await sources(halted))["sdb"] == ""
    for target in ("sda", "sdz"):
        with pytest.raises(NotFound, match=f"“disks” has no CD-ROM drive {target}"):
            await change_medium(halted, UUID, "disks", target, "/disc.iso", False)


class Running:
    """Stands for a running domain with a USB stick: its guest lets go of it when the test says so."""

    def __init__(self, *, persistent: bool = False, stored: str = STICK) -> None:
        self.asked = asyncio.Event()
        self.disks = STICK
        self.stored = stored
        self.detached: list[int] = []
        self.forced: list[bool] = []
        self._persistent = persistent
        self._loop = asyncio.get_running_loop()

    def isActive(self) -> bool:
        return True

    def isPersistent(self) -> bool:
        return self._persistent

    def XMLDesc(self, flags: int = 0) -> str:
        return f"<domain><devices>{self.stored if flags else self.disks}</devices></domain>"

    def detachDeviceFlags(self, _xml: str, flags: int) -> None:
        self.detached.append(flags)
        self._loop.call_soon_threadsafe(self.asked.set)

    def updateDeviceFlags(self, _xml: str, flags: int) -> None:
        self.forced.append(bool(flags & libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE))
        if not self.forced[-1]:
            raise libvirt.libvirtError("the tray is locked")


LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


async def detaching(
    connection: LibvirtConnection, *events: Event, timeout: float = 10, running: Running | None = None
) -> None:
    """Detach the stick, and let *events* come when the guest has been asked."""
    running = running or Running()
    connection.handles[UUID] = running
    running.asked.clear()
    work = asyncio.create_task(detach_disk(connection, UUID, "work", "sda", timeout))
    await running.asked.wait()
    for event in events:
        connection.announce(event)
    await work


def device(kind: DomainEventKind, alias: str = "usb-disk0", uuid: str = UUID) -> DomainEvent:
    return DomainEvent(uuid, kind, alias)


@pytest.mark.parametrize(
    "event",
    [device(DomainEventKind.DEVICE_REMOVED), DomainEvent(UUID, DomainEventKind.STOPPED)],
    ids=["it lets go", "it ends"],
)
async def test_a_disk_is_gone_when_the_guest_lets_it_go(driver: LibvirtConnection, event: Event) -> None:
    await detaching(driver, event)


@pytest.mark.parametrize(
    ("event", "error", "reason"),
    [
        (device(DomainEventKind.DEVICE_REMOVAL_FAILED), Refused, "“work” refuses to let go of sda"),
        (HostEvent(HostEventKind.CLOSED), HostUnreachable, "the connection was lost while sda was being detached"),
    ],
)
async def test_why_a_disk_stays_is_said(
    driver: LibvirtConnection, event: Event, error: type[QubesManagerError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await detaching(driver, event)


async def test_what_happens_to_others_releases_no_disk(driver: LibvirtConnection) -> None:
    with pytest.raises(TimedOut, match="“work” does not let go of sda"):
        await detaching(
            driver,
            device(DomainEventKind.DEVICE_REMOVED, "usb-disk1"),
            device(DomainEventKind.DEVICE_REMOVED, uuid=OTHER),
            device(DomainEventKind.DEVICE_REMOVAL_FAILED, "usb-disk1"),
            DomainEvent(OTHER, DomainEventKind.STOPPED),
            timeout=0.2,
        )


async def test_a_disk_whose_event_was_missed_is_gone_all_the_same(driver: LibvirtConnection) -> None:
    running = Running()
    driver.handles[UUID] = running
    work = asyncio.create_task(detach_disk(driver, UUID, "work", "sda", 0.2))
    await running.asked.wait()
    running.disks = ""
    await work


async def test_later_starts_lose_a_disk_only_once_the_guest_has_let_it_go(driver: LibvirtConnection) -> None:
    running = Running(persistent=True)
    with pytest.raises(TimedOut, match="Until then it stays attached, and later starts have it"):
        await detaching(driver, timeout=0.1, running=running)
    with pytest.raises(Refused):
        await detaching(driver, device(DomainEventKind.DEVICE_REMOVAL_FAILED), running=running)
    assert running.detached == [LIVE, LIVE]
    await detaching(driver, device(DomainEventKind.DEVICE_REMOVED), running=running)
    assert running.detached[2:] == [LIVE, CONFIG]


async def test_another_disk_that_later_starts_have_in_that_place_stays(driver: LibvirtConnection) -> None:
    running = Running(persistent=True, stored=STICK.replace("'/a'", "'/b'"))
    await detaching(driver, device(DomainEventKind.DEVICE_REMOVED), running=running)
    assert running.detached == [LIVE]


async def test_a_transient_domain_has_no_later_start_to_keep_a_disk_for(driver: LibvirtConnection) -> None:
    driver.handles[UUID] = Running()
    with pytest.raises(Refused, match="“work” is a transient domain"):
        await attach_disk(driver, UUID, "work", DiskRequest("/b", False, persistent=True))


async def test_a_tray_that_the_guest_has_locked_is_forced_open(driver: LibvirtConnection) -> None:
    running = Running()
    running.disks = "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>"
    driver.handles[UUID] = running
    await change_medium(driver, UUID, "work", "sdb", "/disc.iso", False)
    assert running.forced == [False, True]
