"""The element of a network interface: what it connects to, and what stays when that changes."""

import secrets

from lxml import etree
from lxml.builder import E

from qubes_manager.core.interfaces import DOWNSTREAM_ALIAS, DOWNSTREAM_MAC, USER, Interface

# Which attribute of <source> says what an interface of a kind connects to.
_SOURCES = {
    "network": "network",
    "bridge": "bridge",
    "direct": "dev",
    "internal": "name",
    "vdpa": "dev",
    "vhostuser": "path",
    "vds": "switchid",
}
# Parts that libvirt 9.0 refuses or drops beside any other kind (virDomainNetDefValidate), or does not start with.
_ONLY_WITH = {
    "mtu": ("network", "bridge", "ethernet"),
    "filterref": ("network", "bridge", "ethernet"),
    "virtualport": ("network", "bridge", "direct"),
    "vlan": ("network", "bridge", "direct"),
    "port": ("network", "bridge"),
    "coalesce": ("network", "bridge"),
    "script": ("bridge", "ethernet"),
    "downscript": ("bridge", "ethernet"),
    "portForward": ("user",),
    "ip": (),
    "route": (),
    "source": (),
}


def read_interface(element: etree._Element) -> Interface:
    """What an <interface> says."""
    kind = element.get("type", "")
    mac, model, source = element.find("mac"), element.find("model"), element.find("source")
    backend, alias, filterref = element.find("backend"), element.find("alias"), element.find("filterref")
    return Interface(
        kind=kind,
        source=_source(kind, source) if source is not None else "",
        mac=mac.get("address", "") if mac is not None else "",
        model=model.get("type", "") if model is not None else "",
        backend=backend.get("type", "") if backend is not None else "",
        filter=filterref.get("filter", "") if filterref is not None else "",
        is_downstream=alias is not None and alias.get("name") == DOWNSTREAM_ALIAS,
    )


def upstream_interfaces(devices: etree._Element) -> list[etree._Element]:
    """The interfaces by which a domain is connected itself, and not others to it."""
    return [element for element in devices.findall("interface") if not read_interface(element).is_downstream]


def set_filter(element: etree._Element, name: str) -> None:
    """Let an <interface> have a network filter of libvirt's, in place of any other."""
    for present in element.findall("filterref"):
        element.remove(present)
    element.append(E.filterref(filter=name))


def put_downstream(devices: etree._Element, wanted: bool) -> None:
    """Let the domain have the card that others are connected to, or none."""
    found = [element for element in devices.findall("interface") if read_interface(element).is_downstream]
    for element in found[int(wanted) :]:
        devices.remove(element)
    if wanted and not found:
        address = ":".join((*DOWNSTREAM_MAC, *(f"{byte:02x}" for byte in secrets.token_bytes(3))))
        devices.append(
            E.interface(E.mac(address=address), E.model(type="virtio"), E.alias(name=DOWNSTREAM_ALIAS), type=USER)
        )


def _source(kind: str, source: etree._Element) -> str:
    if kind in _SOURCES:
        return source.get(_SOURCES[kind], "")
    if kind == "hostdev" and (address := source.find("address")) is not None:
        return pci_address(address)
    return ":".join(filter(None, (source.get("address"), source.get("port"))))


def pci_address(address: etree._Element) -> str:
    """The place of a PCI device, as lspci writes it; what is no PCI address is told by its parts."""
    domain, bus, slot, function = (address.get(part, "") for part in ("domain", "bus", "slot", "function"))
    try:
        return f"{int(domain, 0):04x}:{int(bus, 0):02x}:{int(slot, 0):02x}.{int(function, 0):x}"
    except ValueError:
        return ":".join(filter(None, (domain, bus, slot, function)))


def new_interface(to: Interface) -> etree._Element:
    """The element of an interface that connects to what *to* names."""
    element = E.interface(E.model(type="virtio"), type=to.kind)
    connect_to(element, to)
    return element


def connect_to(element: etree._Element, to: Interface) -> None:
    """Let an <interface> connect to what *to* names; all of it stays that the kind of *to* can have."""
    before = element.get("type", "")
    if before != to.kind:
        _drop_what_belongs_to(element, before, to.kind)
        element.set("type", to.kind)
    if to.kind not in _SOURCES:
        return
    source = element.find("source")
    if source is None:
        source = etree.Element("source")
        element.insert(0, source)
    source.set(_SOURCES[to.kind], to.source)
    if to.kind == "direct" and not source.get("mode"):
        # libvirt's own default needs a switch that sends back what comes from it.
        source.set("mode", "bridge")


def _drop_what_belongs_to(element: etree._Element, before: str, kind: str) -> None:
    for part in list(element):
        belongs = part.tag in _ONLY_WITH and kind not in _ONLY_WITH[str(part.tag)]
        # Who serves user networking (passt), and who drives a device of the host (VFIO), say so here.
        is_server = part.tag == "backend" and part.get("type") is not None
        if belongs or is_server or (part.tag == "driver" and before == "hostdev"):
            element.remove(part)
    if before == "hostdev":
        element.attrib.pop("managed", "")
