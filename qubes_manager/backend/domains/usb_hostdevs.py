"""Giving running domains USB devices of the host, and taking them back (libvirt's <hostdev>).

Only as long as the domain runs: what it is to have at its next start its assignments say, since libvirt would not start
a domain whose device is not plugged in.
"""

import asyncio
import re
from dataclasses import dataclass

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.disks import DETACH_TIMEOUT, _is_released
from qubes_manager.backend.domains.hostdev_xml import read_host_devices
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.usb import UsbDevice, is_held_as
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused, TimedOut

# libvirt keeps names that begin so as they are; only letters, digits, - and _ may follow.
_ALIAS = "ua-qubes-usb-"
_NAMED = re.compile(rf"{_ALIAS}(\d+-\d+(?:_\d+)*)")
_LIVE, _STORED = 0, libvirt.VIR_DOMAIN_XML_INACTIVE
_HELD = re.compile(r"is in use by driver \S+, domain (.+)")
# What libvirt and QEMU say, and what that means to people; “{name}” is the domain, {device} the device.
_MEANINGS: tuple[tuple[str, type[QubesManagerError], str], ...] = (
    ("Did not find USB device", NotFound, "{device} is not plugged in any more, or anew: list the devices again"),
    ("failed to find host usb device", NotFound, "{device} is not plugged in any more: list the devices again"),
    ("is already in use", Refused, "“{name}” has {device} already"),
    (
        "No free USB ports",
        Refused,
        "“{name}” has no free USB port: detach another USB device from it first",
    ),
    (
        "no USB bus support",
        Refused,
        "“{name}” has no USB controller: shut it down, give it one (<controller type='usb' model='qemu-xhci'/>), "
        "and start it again",
    ),
    ("USB is disabled", Refused, "“{name}” has no USB controller, so that it can have no USB device"),
    ("Permission denied", Refused, "{device} may not be opened by the user whom QEMU runs as"),
    ("failed to open", Refused, "QEMU could not open {device}: another program may have it, or it does not answer"),
)


def usb_alias(port: str) -> str:
    """libvirt's name for what is at a port, by which it is known again in a domain's XML."""
    return _ALIAS + port.replace(".", "_")


def port_of(alias: str) -> str:
    """The port of what ``usb_alias`` named so; empty where another program named it."""
    found = _NAMED.fullmatch(alias)
    return found[1].replace("_", ".") if found else ""


def usb_hostdev_xml(device: UsbDevice) -> str:
    """Return libvirt's element for a USB device to attach.

    By what it says that it is and by its numbers: libvirt takes none that is only one of both, so that nothing else
    comes to the domain that got the numbers meanwhile.
    """
    source = E.source(
        E.vendor(id=f"0x{device.vendor_id}"),
        E.product(id=f"0x{device.product_id}"),
        E.address(bus=str(device.bus), device=str(device.number)),
    )
    element = E.hostdev(source, E.alias(name=usb_alias(device.port)), mode="subsystem", type="usb")
    return etree.tostring(element, encoding="unicode")


async def attach_usb(connection: LibvirtConnection, uuid: str, name: str, device: UsbDevice) -> str:
    """Give a USB device to a running domain and return libvirt's name for it there.

    What it still has from that port, of a device that was unplugged since, is cleared away first. Raises NotFound where
    the device is gone, Refused where the domain or another one has it or the domain has no place for it, and
    HostCallFailed.
    """
    alias = usb_alias(device.port)
    what = f"attach {device.name} to “{name}”"

    def held(domain: Handle) -> HostDevice | None:
        return next((one for _element, one in _usb_hostdevs(domain, _LIVE) if one.alias == alias), None)

    def attach(domain: Handle) -> None:
        try:
            domain.attachDeviceFlags(usb_hostdev_xml(device), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError as error:
            raise _refusal(error, name, device.name) from error

    if old := await connection.on_domain(uuid, what, held):
        if is_held_as(device, old):
            raise Refused(f"“{name}” has {device.name} already")
        await detach_usb(connection, uuid, name, alias, f"what was at {device.port} before")
    await connection.on_domain(uuid, what, attach, timeout=60)
    return alias


def _refusal(error: libvirt.libvirtError, name: str, device: str) -> Exception:
    raw = str(error.get_error_message() or error)
    if held := _HELD.search(raw):
        return Refused(f"“{held[1]}” has {device}: detach it there first", raw)
    for phrase, kind, plain in _MEANINGS:
        if phrase in raw:
            return kind(plain.format(name=name, device=device), raw)
    return error


@dataclass(frozen=True, slots=True)
class Detached:
    """What came of taking a USB device from a domain. *is_over*: it is gone, and not only on its way out.

    *comes_back*: its configuration has it, at its next start.
    """

    is_over: bool
    comes_back: bool


async def detach_usb(
    connection: LibvirtConnection, uuid: str, name: str, alias: str, device: str, timeout: float = DETACH_TIMEOUT
) -> Detached:
    """Take the USB device *device*, which libvirt calls *alias*, from a running domain.

    Its system is not asked: the device is gone as if somebody had pulled it out. Raises NotFound when the domain has no
    such device, TimedOut when libvirt does not say within *timeout* seconds that it is gone (its device-removed event),
    Refused, HostUnreachable, HostCallFailed.
    """
    what = f"detach {device} from “{name}”"

    def find(domain: Handle) -> tuple[etree._Element, HostDevice] | None:
        return next((pair for pair in _usb_hostdevs(domain, _LIVE) if pair[1].alias == alias), None)

    def begin(domain: Handle) -> Detached:
        found = find(domain) if domain.isActive() else None
        if found is None:
            raise NotFound(f"“{name}” does not have {device}")
        stored = _usb_hostdevs(domain, _STORED) if domain.isPersistent() else []
        domain.detachDeviceFlags(etree.tostring(found[0], encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        # libvirt waits some seconds by itself; a connection that hears no events learns of it here.
        return Detached(is_gone(domain), any(_is_same(found[1], one) for _element, one in stored))

    def is_gone(domain: Handle) -> bool:
        return not domain.isActive() or find(domain) is None

    with connection.listen() as events:
        detached = await connection.on_domain(uuid, what, begin, timeout=60)
        if detached.is_over:
            return detached
        try:
            async with asyncio.timeout(timeout):
                while not _is_released(await events.get(), uuid, alias, name, device):
                    pass
        except TimeoutError:
            if not await connection.on_domain(uuid, what, is_gone):
                raise TimedOut(
                    f"“{name}” does not let go of {device}: try again, or shut it down. Until then it has it"
                ) from None
    return Detached(True, detached.comes_back)


def _is_same(live: HostDevice, stored: HostDevice) -> bool:
    """Whether a domain's next start brings what it has now: by what it is, or by its numbers alone."""
    if stored.product:
        return stored.product == live.product and stored.address in ("", live.address)
    return stored.address == live.address


def _usb_hostdevs(domain: Handle, flags: int) -> list[tuple[etree._Element, HostDevice]]:
    elements = parse(domain.XMLDesc(flags)).iterfind("devices/hostdev")
    pairs = ((element, one) for element in elements for one in read_host_devices([element]))
    return [pair for pair in pairs if pair[1].klass is DeviceClass.USB]
