"""Reading which devices of the host a domain's XML names (libvirt's formatdomain, “Host device assignment”)."""

from collections.abc import Iterable

from lxml import etree

from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass

# Network cards and NVMe drives that are PCI devices of the host stand among the domain's interfaces and disks.
_PCI_KINDS = {"interface": "hostdev", "disk": "nvme"}


def read_host_devices(devices: Iterable[etree._Element]) -> tuple[HostDevice, ...]:
    """Return the USB and PCI devices that the children of a <devices> element take from the host.

    One that libvirt looked for at the start and did not find (``missing``), and one that is not named as libvirt
    names them, is left out.
    """
    found = []
    for element in devices:
        if element.tag == "hostdev":
            found.append(_hostdev(element))
        elif (kind := _PCI_KINDS.get(str(element.tag))) and element.get("type") == kind:
            found.append(_pci(element))
    return tuple(filter(None, found))


def _hostdev(element: etree._Element) -> HostDevice | None:
    if element.get("mode", "subsystem") != "subsystem":
        return None
    match element.get("type"):
        case "usb":
            return _usb(element)
        case "pci":
            return _pci(element)
    return None


def _usb(element: etree._Element) -> HostDevice | None:
    source = element.find("source")
    if source is None or source.get("missing") == "yes":
        return None
    bus, number = _numbers(source.find("address"), "bus", "device") or (0, 0)
    vendor, product = source.find("vendor"), source.find("product")
    names = [_number(part.get("id")) if part is not None else None for part in (vendor, product)]
    # Numbers start at 1; libvirt writes 0 for those that it has not looked up.
    address = f"{bus}.{number}" if bus and number else ""
    known = f"{names[0]:04x}:{names[1]:04x}" if names[0] is not None and names[1] is not None else ""
    if not address and not known:
        return None
    return HostDevice(DeviceClass.USB, address, known, _alias(element))


def _pci(element: etree._Element) -> HostDevice | None:
    source = element.find("source")
    address = source.find("address") if source is not None else None
    numbers = _numbers(address, "domain", "bus", "slot", "function")
    if not numbers:
        return None
    domain, bus, slot, function = numbers
    place = f"{domain:04x}_{bus:02x}_{slot:02x}.{function:x}"
    # Of an NVMe drive the source says it, of the others the element itself.
    said = (element.get("managed"), source.get("managed") if source is not None else None)
    return HostDevice(DeviceClass.PCI, place, "", _alias(element), "yes" in said, str(element.tag))


def _numbers(address: etree._Element | None, *names: str) -> list[int] | None:
    """The numbers of an address; None where one is missing."""
    if address is None:
        return None
    # libvirt takes a PCI address without its domain for one of the first.
    found = [_number(address.get(name, "0" if name == "domain" else None)) for name in names]
    return None if None in found else [number for number in found if number is not None]


def _number(text: str | None) -> int | None:
    try:
        number = int((text or "")[:12], 0)
    except ValueError:
        return None
    return number if 0 <= number <= 0xFFFFFFFF else None


def _alias(element: etree._Element) -> str:
    alias = element.find("alias")
    return alias.get("name", "") if alias is not None else ""
