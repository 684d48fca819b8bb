"""Reading a domain's XML, and editing it without touching what the user did not change."""

from lxml import etree
from lxml.builder import E

from qubes_manager.backend.domains import metadata
from qubes_manager.backend.xml import parse
from qubes_manager.core.domain import GUI_PORT, Disk, DomainConfig, Interface

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
CPU_MODES = {"kvm": "host-passthrough", "qemu": "maximum"}
_SOURCE_ATTRIBUTES = ("file", "dev", "volume", "name", "dir", "network", "bridge")


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
    maximum = _kib(parts.get("memory"))
    return DomainConfig(
        virt_type=virt_type,
        emulated=virt_type == "qemu",
        machine=system["type"].get("machine", "") if "type" in system else "",
        maximum_memory_kib=maximum,
        # libvirt gives a domain all of it where nothing else is said.
        initial_memory_kib=_kib(parts.get("currentMemory")) or maximum,
        vcpus=int(_content(parts.get("vcpu")) or 0),
        kernel=_content(system.get("kernel")),
        initrd=_content(system.get("initrd")),
        kernelopts=_content(system.get("cmdline")),
        notes=_content(parts.get("description")),
        disks=tuple(_disk(child) for tag, child in devices if tag == "disk"),
        interfaces=tuple(_interface(child) for tag, child in devices if tag == "interface"),
        others=tuple(
            (tag, " ".join(filter(None, map(child.get, _OTHER_DEVICES[tag]))))
            for tag, child in devices
            if tag in _OTHER_DEVICES
        ),
        gui_port=any(_port_name(child) == GUI_PORT for tag, child in devices if tag == "channel"),
        console_log=next((_console_log(child) for tag, child in devices if tag == "serial"), ""),
        **metadata.read_from(parts.get("metadata")),
    )


def _content(element: etree._Element | None) -> str:
    return (element.text or "") if element is not None else ""


def _port_name(channel: etree._Element) -> str:
    return next((child.get("name", "") for child in channel if child.tag == "target"), "")


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
        encrypted=element.find("encryption") is not None or element.find("source/encryption") is not None,
    )


def _interface(element: etree._Element) -> Interface:
    mac, model = element.find("mac"), element.find("model")
    return Interface(
        kind=element.get("type", ""),
        source=_source(element.find("source")),
        mac=mac.get("address", "") if mac is not None else "",
        model=model.get("type", "") if model is not None else "",
    )


def interface(netvm: str) -> etree._Element:
    """The element of a network interface: user networking, or a libvirt network by name."""
    if netvm == "user":
        return E.interface(E.model(type="virtio"), type="user")
    return E.interface(E.source(network=netvm), E.model(type="virtio"), type="network")


class DomainEdit:
    """An edit of a domain's inactive XML; ``xml()`` gives the result for virDomainDefineXML.

    Only what a setter names changes; unknown elements, attributes and comments stay.
    """

    def __init__(self, xml: str) -> None:
        self._root = parse(xml)

    @property
    def config(self) -> DomainConfig:
        """What the document says now."""
        return parse_config(self.xml())

    def metadata(self) -> metadata.MetadataEdit:
        """An edit of our element, which is made where there is none."""
        place = self._root.find("metadata")
        if place is None:
            place = self._insert_after(("name", "uuid", "genid", "title", "description"), "metadata")
        ours = metadata.find_ours(place)
        if ours is None:
            ours = metadata.new_element()
            place.append(ours)
        return metadata.MetadataEdit.of_element(ours)

    def set_identity(self, uuid: str, name: str, console_log: str) -> None:
        """Make the document that of another domain; what must differ between two domains is left to libvirt."""
        for tag, text in (("name", name), ("uuid", uuid)):
            element = self._root.find(tag)
            if element is None:
                element = self._insert_after(("name",), tag)
            element.text = text
        for unique in ("devices/interface/mac", "devices/channel/source", "genid", "os/nvram"):
            for element in self._root.findall(unique):
                parent = element.getparent()
                assert parent is not None
                parent.remove(element)
        for log in self._root.iterfind("devices/serial/log"):
            log.set("file", console_log)

    def set_maximum_memory(self, kib: int) -> None:
        """Set the most memory that the domain may get, in KiB; what it starts with stays, if it fits."""
        initial = self.config.initial_memory_kib
        self._set_kib("memory", kib)
        self._set_kib("currentMemory", min(initial or kib, kib))

    def set_initial_memory(self, kib: int) -> None:
        """Set the memory that the domain starts with, in KiB; the maximum grows where it must."""
        self._set_kib("memory", max(self.config.maximum_memory_kib, kib))
        self._set_kib("currentMemory", kib)

    def _set_kib(self, name: str, kib: int) -> None:
        element = self._root.find(name)
        if element is None:
            element = self._insert_after(("name", "uuid", "genid", "title", "description", "metadata", "memory"), name)
        element.set("unit", "KiB")
        element.text = str(kib)

    def set_virt_type(self, virt_type: str) -> None:
        """Set kvm or qemu (software emulation), with the processor that each offers."""
        self._root.set("type", virt_type)
        processor = self._root.find("cpu")
        if processor is not None and processor.get("mode") in ("host-passthrough", "maximum"):
            processor.set("mode", CPU_MODES[virt_type])

    def set_disk_source(self, target: str, path: str, image_format: str) -> None:
        """Let the disk *target* take its bytes from another file."""
        for disk in self._root.iterfind("devices/disk"):
            found, source, driver = disk.find("target"), disk.find("source"), disk.find("driver")
            if found is not None and found.get("dev") == target and source is not None:
                source.set("file", path)
                if driver is not None:
                    driver.set("type", image_format)

    def set_boot_files(self, kernel: str, initrd: str) -> None:
        """Set what the domain boots from; without them it boots from its disks."""
        system = self._root.find("os")
        if system is None:
            return
        for name, path in (("kernel", kernel), ("initrd", initrd)):
            element = system.find(name)
            if not path:
                if element is not None:
                    system.remove(element)
                continue
            if element is None:
                element = etree.SubElement(system, name)
            element.text = path

    def set_interface(self, netvm: str) -> None:
        """Set what the first network interface connects to; empty takes all interfaces away."""
        devices = self._root.find("devices")
        if devices is None:
            return
        old = devices.findall("interface")
        if netvm:
            new = interface(netvm)
            if not old:
                devices.append(new)
                return
            # The MAC address and the place on the bus stay, and with them the guest's name for it.
            for kept in ("mac", "address"):
                if (part := old[0].find(kept)) is not None:
                    new.append(part)
            devices.replace(old[0], new)
            return
        for element in old:
            devices.remove(element)

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
