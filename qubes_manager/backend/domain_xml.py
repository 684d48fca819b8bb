"""Reading a domain's XML, and editing it without touching what the user did not change."""

from lxml import etree

from qubes_manager.backend import metadata
from qubes_manager.core.domain import Disk, DomainConfig, Interface

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
_SOURCE_ATTRIBUTES = ("file", "dev", "volume", "name", "dir", "network", "bridge")


def parse_config(xml: str) -> DomainConfig:
    """Return what *xml* (virDomainGetXMLDesc) says; raises etree.XMLSyntaxError.

    Thousands of domains are read at once, so the children are looked at directly: lxml's path expressions are
    several times slower.
    """
    root = metadata.parse(xml)
    parts = {child.tag: child for child in root}
    virt_type = root.get("type", "")
    system = {child.tag: child for child in parts.get("os", ())}
    devices = parts.get("devices", ())
    return DomainConfig(
        virt_type=virt_type,
        emulated=virt_type == "qemu",
        machine=system["type"].get("machine", "") if "type" in system else "",
        memory=_kib(parts.get("memory")),
        vcpus=int(_content(parts.get("vcpu")) or 0),
        kernel=_content(system.get("kernel")),
        kernelopts=_content(system.get("cmdline")),
        notes=_content(parts.get("description")),
        disks=tuple(_disk(child) for child in devices if child.tag == "disk"),
        interfaces=tuple(_interface(child) for child in devices if child.tag == "interface"),
        others=tuple(
            (child.tag, " ".join(filter(None, map(child.get, _OTHER_DEVICES[child.tag]))))
            for child in devices
            if child.tag in _OTHER_DEVICES
        ),
        console_log=next((_console_log(child) for child in devices if child.tag == "serial"), ""),
        **metadata.read_from(parts.get("metadata")),  # type: ignore[arg-type]
    )


def _content(element: etree._Element | None) -> str:
    return (element.text or "") if element is not None else ""


def _console_log(serial: etree._Element) -> str:
    log = serial.find("log")
    return log.get("file", "") if log is not None else ""


def _kib(element: etree._Element | None) -> int:
    if element is None or not element.text:
        return 0
    return int(element.text) * _UNITS.get(element.get("unit", "KiB"), 1024) // 1024


def _source(element: etree._Element | None) -> str:
    if element is None:
        return ""
    return next((value for name in _SOURCE_ATTRIBUTES if (value := element.get(name))), "")


def _disk(element: etree._Element) -> Disk:
    target = element.find("target")
    source = element.find("source")
    return Disk(
        target=target.get("dev", "") if target is not None else "",
        bus=target.get("bus", "") if target is not None else "",
        kind=element.get("device", "disk"),
        source=_source(source),
        pool=source.get("pool", "") if source is not None else "",
        read_only=element.find("readonly") is not None,
        transient=element.find("transient") is not None,
        serial=element.findtext("serial") or "",
    )


def _interface(element: etree._Element) -> Interface:
    mac, model = element.find("mac"), element.find("model")
    return Interface(
        kind=element.get("type", ""),
        source=_source(element.find("source")),
        mac=mac.get("address", "") if mac is not None else "",
        model=model.get("type", "") if model is not None else "",
    )


class DomainEdit:
    """An edit of a domain's inactive XML; ``xml()`` gives the result for virDomainDefineXML.

    Only what a setter names changes; unknown elements, attributes and comments stay.
    """

    def __init__(self, xml: str) -> None:
        self._root = metadata.parse(xml)

    def set_memory(self, kib: int) -> None:
        """Set boot and maximum memory, in KiB."""
        for name in ("memory", "currentMemory"):
            element = self._root.find(name)
            if element is None and name == "memory":
                element = self._insert_after(("name", "uuid", "title", "description", "metadata"), name)
            if element is not None:
                element.set("unit", "KiB")
                element.text = str(kib)

    def set_vcpus(self, count: int) -> None:
        """Set the number of virtual CPUs, now and at most."""
        element = self._root.find("vcpu")
        if element is None:
            element = self._insert_after(("memory", "currentMemory"), "vcpu")
        if "current" in element.attrib:
            del element.attrib["current"]
        element.text = str(count)

    def set_kernelopts(self, options: str) -> None:
        """Set the command line of a directly booted kernel."""
        system = self._root.find("os")
        if system is None:
            return
        element = system.find("cmdline")
        if element is None:
            element = etree.SubElement(system, "cmdline")
        element.text = options

    def set_notes(self, text: str) -> None:
        """Set the description; empty text takes it away."""
        element = self._root.find("description")
        if not text:
            if element is not None:
                self._root.remove(element)
            return
        if element is None:
            element = self._insert_after(("name", "uuid", "title"), "description")
        element.text = text

    def xml(self) -> str:
        """The whole document as text."""
        return etree.tostring(self._root, encoding="unicode")

    def _insert_after(self, names: tuple[str, ...], new: str) -> etree._Element:
        place = max((i for i, child in enumerate(self._root) if child.tag in names), default=-1) + 1
        element = etree.Element(new)
        element.tail = "\n  "
        self._root.insert(place, element)
        return element
