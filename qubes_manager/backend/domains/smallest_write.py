"""The smallest call of libvirt's that makes one definition of a domain out of another.

libvirt puts what such a call says into what it has at that moment. The whole definition, which
``virDomainDefineXML`` takes, would also write everything else as it was when it was read.
"""

from collections.abc import Callable
from functools import partial

import libvirt
from lxml import etree

from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains import metadata
from qubes_manager.backend.xml import canonical

Write = Callable[[], object]
_CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
_ELEMENT = libvirt.VIR_DOMAIN_METADATA_ELEMENT


def part_writer(domain: Handle, before: etree._Element, wanted: etree._Element) -> Write | None:
    """Return what makes *wanted* of *before* without a new definition; None where no call does just that."""
    changed = {str(tag) for tag in _tags(before) | _tags(wanted) if _parts(before, tag) != _parts(wanted, tag)}
    match sorted(changed):
        case ["metadata"]:
            return _metadata_writer(domain, before, wanted)
        case ["vcpu"] if before.find("vcpus") is None:
            return _vcpus_writer(domain, before, wanted)
        case ["memory"] | ["currentMemory"] | ["currentMemory", "memory"] if before.find("cpu/numa") is None:
            return _memory_writer(domain, wanted)
        case ["devices"]:
            return _interface_writer(domain, before, wanted)
    return None


def _tags(root: etree._Element) -> set[object]:
    return {child.tag for child in root if isinstance(child.tag, str)}


def _parts(root: etree._Element, tag: object) -> list[bytes]:
    return [canonical(child) for child in root if child.tag == tag]


def _metadata_writer(domain: Handle, before: etree._Element, wanted: etree._Element) -> Write | None:
    place = wanted.find("metadata")
    ours = metadata.find_ours(place)
    if ours is None or _foreign(before.find("metadata")) != _foreign(place):
        return None
    return partial(domain.setMetadata, _ELEMENT, metadata.plain(ours), metadata.PREFIX, metadata.NAMESPACE, _CONFIG)


def _foreign(place: etree._Element | None) -> list[bytes]:
    ours = metadata.find_ours(place)
    return [canonical(child) for child in (place if place is not None else ()) if child is not ours]


def _vcpus_writer(domain: Handle, before: etree._Element, wanted: etree._Element) -> Write | None:
    old, new = before.find("vcpu"), wanted.find("vcpu")
    if old is None or new is None or _without_count(old) != _without_count(new):
        return None
    most = int(new.text or 0)
    now = int(new.get("current", most))

    def write() -> None:
        # libvirt lowers what is more than the new maximum.
        domain.setVcpusFlags(most, _CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
        domain.setVcpusFlags(now, _CONFIG)

    return write


def _memory_writer(domain: Handle, wanted: etree._Element) -> Write:
    most, now = _kib(wanted, "memory"), _kib(wanted, "currentMemory")

    def write() -> None:
        domain.setMemoryFlags(most, _CONFIG | libvirt.VIR_DOMAIN_MEM_MAXIMUM)
        domain.setMemoryFlags(now, _CONFIG)

    return write


def _without_count(vcpu: etree._Element) -> dict[str, str]:
    return {str(name): str(value) for name, value in vcpu.attrib.items() if name != "current"}


def _kib(root: etree._Element, name: str) -> int:
    return int(root.findtext(name) or root.findtext("memory") or 0)


def _interface_writer(domain: Handle, before: etree._Element, wanted: etree._Element) -> Write | None:
    """For one card that is new, gone, or another one with the same address."""
    old, new = ({canonical(device): device for device in root.iterfind("devices/*")} for root in (before, wanted))
    gone = [device for text, device in old.items() if text not in new]
    come = [device for text, device in new.items() if text not in old]
    if {device.tag for device in (*gone, *come)} != {"interface"} or len(gone) > 1 or len(come) > 1:
        return None
    if not come:
        return partial(domain.detachDeviceFlags, _text(gone[0]), _CONFIG)
    if not gone:
        return partial(domain.attachDeviceFlags, _text(come[0]), _CONFIG)
    if _mac(gone[0]) and _mac(gone[0]) == _mac(come[0]):
        return partial(domain.updateDeviceFlags, _text(come[0]), _CONFIG)
    return None


def _mac(interface: etree._Element) -> str:
    mac = interface.find("mac")
    return "" if mac is None else mac.get("address", "")


def _text(device: etree._Element) -> str:
    return etree.tostring(device, encoding="unicode", with_tail=False)
