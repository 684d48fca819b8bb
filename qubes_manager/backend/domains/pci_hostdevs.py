"""PCI devices of the host in what a halted domain starts with (libvirt's formatdomain, “Host device assignment”).

libvirt has no word for a strict reset: before a start it leaves that to vfio-pci, which goes on where it cannot.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.hostdev_xml import read_host_devices
from qubes_manager.backend.user.domain_lock import edit_lock
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.devices.pci import address_of
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused, StateIsSaved

_STORED, _CONFIG = libvirt.VIR_DOMAIN_XML_INACTIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
# Seconds after which it is looked once more: who had read before, and wrote after, has undone it (edits.py).
_SECOND_LOOK = 0.03
_TRIES = 5


def hostdev_xml(port: str) -> str:
    """Return libvirt's element for a PCI device at a port; raises BadInput.

    *managed*: at the start libvirt takes it from the host's driver, and gives it back at the end.
    """
    domain, bus, rest = address_of(port).split(":")
    slot, function = rest.split(".")
    numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    address = E.address({name: f"0x{number}" for name, number in numbers.items()})
    element = E.hostdev(E.source(address), mode="subsystem", type="pci", managed="yes")
    return etree.tostring(element, encoding="unicode")


async def put_pci(connection: LibvirtConnection, key: DomainKey, name: str, ports: Collection[str]) -> None:
    """Let a halted domain start with the devices at *ports*, all or none of them.

    Raises Refused for one that runs, is saved or transient, or where another program keeps undoing it; HostCallFailed.
    """
    elements = {port: hostdev_xml(port) for port in ports}

    def put(domain: Handle) -> None:
        with _editing(domain, key, name):
            _until(name, lambda: not (set(ports) - _ports(domain)), lambda: _add_missing(domain, elements))

    await connection.on_domain(key.uuid, f"give {_list(ports)} to “{name}”", put)


async def take_pci(connection: LibvirtConnection, key: DomainKey, name: str, ports: Collection[str]) -> None:
    """Let a halted domain start without the devices at *ports*; those that it has not are passed over.

    Raises Refused for one that runs, is saved or transient, or where another program keeps undoing it; HostCallFailed.
    """

    def take(domain: Handle) -> None:
        with _editing(domain, key, name):
            _until(name, lambda: not (set(ports) & _ports(domain)), lambda: _remove(domain, ports))

    await connection.on_domain(key.uuid, f"take {_list(ports)} from “{name}”", take)


def _list(ports: Collection[str]) -> str:
    return ", ".join(ports)


@contextlib.contextmanager
def _editing(domain: Handle, key: DomainKey, name: str) -> Iterator[None]:
    """Hold the domain's edits while the block runs, if its next start can be changed."""
    with edit_lock(key.uuid, name):
        if domain.isActive():
            raise Refused(f"“{name}” is running: PCI devices come and go with a start, so shut it down first")
        if not domain.isPersistent():
            raise Refused(f"“{name}” is a transient domain: it has no later start to give a device to")
        if domain.hasManagedSaveImage():
            raise StateIsSaved(name, key)
        yield


def _until(name: str, is_so: Callable[[], bool], make: Callable[[], None]) -> None:
    for _ in range(_TRIES):
        if is_so():
            time.sleep(_SECOND_LOOK)
            if is_so():
                return
        make()
    raise Refused(f"“{name}” was not changed as asked: another program keeps changing it; look, and try again")


def _elements(domain: Handle) -> dict[str, etree._Element]:
    """What the next start has of PCI devices as such, by their ports; cards and drives made of them are others'."""
    found = {}
    for element in parse(domain.XMLDesc(_STORED)).iterfind("devices/hostdev"):
        for device in read_host_devices([element]):
            if device.klass is DeviceClass.PCI:
                found[device.address] = element
    return found


def _ports(domain: Handle) -> set[str]:
    return set(_elements(domain))


def _add_missing(domain: Handle, elements: dict[str, str]) -> None:
    there = _ports(domain)
    added: list[str] = []
    try:
        for port, xml in elements.items():
            if port not in there:
                domain.attachDeviceFlags(xml, _CONFIG)
                added.append(port)
    except libvirt.libvirtError:
        # A part of a group is of no use: the domain would not start.
        with contextlib.suppress(libvirt.libvirtError):
            _remove(domain, added)
        raise


def _remove(domain: Handle, ports: Collection[str]) -> None:
    for port, element in _elements(domain).items():
        if port in ports:
            domain.detachDeviceFlags(etree.tostring(element, encoding="unicode", with_tail=False), _CONFIG)
