"""Reading what a domain's XML says."""

from lxml import etree

from qubes_manager.backend.domains import metadata
from qubes_manager.backend.domains.hostdev_xml import read_host_devices
from qubes_manager.backend.domains.interface_xml import pci_address, read_interface
from qubes_manager.backend.domains.sound_xml import read_sound
from qubes_manager.backend.xml import parse
from qubes_manager.core.crossing.ports import CROSSING_PORTS
from qubes_manager.core.domain import AGENT_PORT, GUI_PORT, DomainConfig
from qubes_manager.core.hardware import Disk, Layer, is_served
from qubes_manager.core.text import one_line

_UNITS = {"b": 1, "bytes": 1, "KB": 1000, "k": 1024, "KiB": 1024, "M": 1 << 20, "MiB": 1 << 20}
_UNITS |= {"MB": 10**6, "G": 1 << 30, "GiB": 1 << 30, "GB": 10**9, "T": 1 << 40, "TiB": 1 << 40, "TB": 10**12}
# Shown in the details pane: element, and the attributes that say what it is.
_OTHER_DEVICES = {
    "graphics": ("type",),
    "controller": ("type", "model"),
    "hostdev": ("type", "mode"),
    "channel": ("type",),
    "sound": ("model",),
    "rng": ("model",),
    "tpm": ("model",),
    "watchdog": ("model",),
    "filesystem": ("type",),
    "redirdev": ("bus", "type"),
}
_MAX_TITLE = 60
_DISK_SOURCES = ("file", "dev", "volume", "name", "dir", "path")

# Where devices of the host stand.
_WITH_HOST_DEVICES = ("hostdev", "interface", "disk")


def parse_config(xml: str) -> DomainConfig:
    """Return what *xml* (virDomainGetXMLDesc) says; raises etree.XMLSyntaxError.

    Thousands of domains are read at once, so the children are looked at directly, and once: lxml's path expressions
    are several times slower, and each look at a child makes it anew.
    """
    root = parse(xml)
    parts = {child.tag: child for child in root}
    virt_type = root.get("type", "")
    system = {child.tag: child for child in parts.get("os", ())}
    devices = [(str(child.tag), child) for child in parts.get("devices", ())]
    ports = {_port(child) for tag, child in devices if tag == "channel"}
    names = {name for name, _state in ports}
    maximum = _kib(parts.get("memory"))
    return DomainConfig(
        virt_type=virt_type,
        emulated=virt_type == "qemu",
        machine=system["type"].get("machine", "") if "type" in system else "",
        maximum_memory_kib=maximum,
        # libvirt gives a domain all of it where nothing else is said.
        initial_memory_kib=_kib(parts.get("currentMemory")) or maximum,
        vcpus=_vcpus(parts.get("vcpu")),
        kernel=_content(system.get("kernel")),
        initrd=_content(system.get("initrd")),
        kernelopts=_content(system.get("cmdline")),
        notes=_content(parts.get("description")),
        title=_title(parts.get("title")),
        disks=tuple(read_disk(child) for tag, child in devices if tag == "disk"),
        host_devices=read_host_devices(child for tag, child in devices if tag in _WITH_HOST_DEVICES),
        interfaces=tuple(read_interface(child) for tag, child in devices if tag == "interface"),
        others=tuple(
            (tag, " ".join(filter(None, map(child.get, _OTHER_DEVICES[tag]))))
            for tag, child in devices
            if tag in _OTHER_DEVICES
        ),
        emulator=next((_content(child) for tag, child in devices if tag == "emulator"), ""),
        sound=read_sound(devices),
        agent_heard=(AGENT_PORT, "connected") in ports,
        gui_port=GUI_PORT in names,
        crossing_ports=names.issuperset(CROSSING_PORTS),
        console_log=next((_console_log(child) for tag, child in devices if tag == "serial"), ""),
        **metadata.read_from(parts.get("metadata")),
    )


def port_name(channel: etree._Element) -> str:
    """The name of a virtio-serial port; empty where there is none."""
    return _port(channel)[0]


def _port(channel: etree._Element) -> tuple[str, str]:
    """Its name, and "connected" when the domain runs and its guest has it open; empty where there is none."""
    for child in channel:
        if child.tag == "target":
            return child.get("name", ""), child.get("state", "")
    return "", ""


def _title(element: etree._Element | None) -> str:
    """A line that stands where names do, whoever wrote it; most domains have none."""
    return one_line(_content(element), _MAX_TITLE) if element is not None else ""


def _content(element: etree._Element | None) -> str:
    return (element.text or "") if element is not None else ""


def _console_log(serial: etree._Element) -> str:
    log = serial.find("log")
    return log.get("file", "") if log is not None else ""


def _vcpus(element: etree._Element | None) -> int:
    """How many the domain starts with; more may be added while it runs."""
    return int(element.get("current") or element.text or 0) if element is not None else 0


def _kib(element: etree._Element | None) -> int:
    if element is None or not element.text:
        return 0
    return int(element.text) * _UNITS.get(element.get("unit", "KiB"), 1024) // 1024


def _disk_source(disk: etree._Element, source: etree._Element | None) -> str:
    """What the disk's bytes are in; its kind where no attribute says it, empty only where there is nothing in it."""
    if source is None:
        return ""
    address = source.find("address")
    if disk.get("type") == "nvme" and address is not None:
        return f"nvme {pci_address(address)} namespace {source.get('namespace', '')}"
    kind = disk.get("type", "")
    unnamed = "" if kind in ("file", "block") else kind
    return next((value for name in _DISK_SOURCES if (value := source.get(name))), unnamed)


def read_disk(element: etree._Element) -> Disk:
    """What a <disk> element says."""
    parts = {child.tag: child for child in element}
    target, source, driver = parts.get("target"), parts.get("source"), parts.get("driver")
    backing, ends = _backing(parts.get("backingStore"))
    if (mirror := parts.get("mirror")) is not None and (copy := _layer(mirror)):
        backing = (*backing, copy)
    return Disk(
        target=target.get("dev", "") if target is not None else "",
        bus=target.get("bus", "") if target is not None else "",
        kind=element.get("device", "disk"),
        source=_disk_source(element, source),
        pool=source.get("pool", "") if source is not None else "",
        read_only="readonly" in parts,
        transient="transient" in parts,
        serial=_content(parts.get("serial")),
        encrypted="encryption" in parts or (source is not None and source.find("encryption") is not None),
        format=driver.get("type", "") if driver is not None else "",
        backing=backing,
        backing_ends=ends,
        socket=_served_socket(source),
    )


def _served_socket(source: etree._Element | None) -> str:
    """Where a server of ours has what the disk is, if one has (backend/host/block_server.py)."""
    host = source.find("host") if source is not None and source.get("protocol") == "nbd" else None
    socket = host.get("socket", "") if host is not None and host.get("transport") == "unix" else ""
    return socket if is_served(socket) else ""


def _backing(element: etree._Element | None) -> tuple[tuple[Layer, ...], bool]:
    """The images that nested <backingStore> elements name, and whether an empty one says that there are no more."""
    found: list[Layer] = []
    while element is not None:
        if (layer := _layer(element)) is None:
            return tuple(found), True
        found.append(layer)
        element = element.find("backingStore")
    return tuple(found), False


def _layer(element: etree._Element) -> Layer | None:
    source, image_format = element.find("source"), element.find("format")
    if source is None or not (name := _disk_source(element, source)):
        return None
    return Layer(name, source.get("pool", ""), image_format.get("type", "") if image_format is not None else "")
