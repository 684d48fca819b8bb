"""Editing a domain's XML without touching what the user did not change."""

from collections.abc import Collection

from lxml import etree
from lxml.builder import E

from qubes_manager.backend.domains import metadata
from qubes_manager.backend.domains.config_xml import parse_config, port_name
from qubes_manager.backend.domains.contradictions import has_balloon, refuse_memory, refuse_vcpus
from qubes_manager.backend.domains.interface_xml import (
    connect_to,
    new_interface,
    put_downstream,
    read_interface,
    set_filter,
    upstream_interfaces,
)
from qubes_manager.backend.domains.microphone_xml import put_microphone, take_microphone
from qubes_manager.backend.domains.network_xml import put_isolation, take_isolation
from qubes_manager.backend.domains.nvram import nvram_name
from qubes_manager.backend.domains.sound_xml import put_sound, take_sound
from qubes_manager.backend.xml import parse
from qubes_manager.core.crossing.ports import CROSSING_PORTS
from qubes_manager.core.domain import DomainConfig
from qubes_manager.core.errors import Refused
from qubes_manager.core.interfaces import filter_name, parse_netvm

# On these libvirt lets others have the file below a throw-away disk from the start (qemu_validate.c).
_SHARING_BUSES = ("virtio", "scsi", "usb")
CPU_MODES = {"kvm": "host-passthrough", "qemu": "maximum"}
# Elements of a disk that say something of its source (libvirt's formatdomain, "Hard drives, floppy disks, CDROMs").
_OF_SOURCE = ("backingStore", "mirror", "encryption", "auth")
# In software emulation these cost seconds of a start, and keep nobody out of anything; under KVM they would let in.
_FASTER = "mitigations=off nokaslr tsc=reliable no_timer_check"
# On a busy host the kernel counts its processor's cycles wrongly, and time that it takes from those ran five times too
# fast (Linux 6.1): devices were given up, and services, before they could come.
EMULATION_WORDS = f"{_FASTER} clocksource=hpet"
# What a domain has of the host itself: folders and devices, which one domain may have at a time.
_OF_THE_HOST = ("hostdev", "filesystem")
# What no two domains may have; libvirt makes it anew.
_UNIQUE = ("devices/interface/mac", "devices/interface/target", "devices/channel/source", "genid", "os/nvram[source]")
# Where a screen listens; two domains cannot have the same.
_FIXED_PORTS = {"port", "tlsPort", "websocket", "socket"}


def channel(name: str) -> etree._Element:
    """libvirt's element for a virtio-serial port whose socket libvirt places."""
    return E.channel(E.target(type="virtio", name=name), type="unix")


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
        for unique in _UNIQUE:
            for element in self._root.findall(unique):
                parent = element.getparent()
                assert parent is not None
                parent.remove(element)
        for element in self._root.iterfind("sysinfo/system/entry[@name='uuid']"):
            element.text = uuid
        for screen in self._root.iterfind("devices/graphics"):
            for element in (screen, *screen.iterfind("listen[@socket]")):
                for fixed in _FIXED_PORTS & set(element.attrib):
                    del element.attrib[fixed]
            if screen.get("autoport") == "no":
                screen.set("autoport", "yes")
        for cid in self._root.iterfind("devices/vsock/cid"):
            cid.attrib.clear()
            cid.set("auto", "yes")
        self.set_console_log(console_log)
        for nvram in self._root.iterfind("os/nvram"):
            folder = (nvram.text or "").strip().rpartition("/")[0]
            nvram.text = f"{folder}/{nvram_name(uuid)}" if folder else None

    def set_console_log(self, path: str) -> None:
        """Let libvirt log the serial console to another file, where it logs it."""
        for log in self._root.iterfind("devices/serial/log"):
            log.set("file", path)

    def set_maximum_memory(self, kib: int) -> None:
        """Set the most memory that the domain may get, in KiB; what it starts with stays, if it fits.

        Raises Refused when something else in the document says how much it has.
        """
        initial = self.config.initial_memory_kib or kib
        self._set_memory(min(initial, kib) if has_balloon(self._root) else kib, kib)

    def set_initial_memory(self, kib: int) -> None:
        """Set the memory that the domain starts with, in KiB; the maximum grows where it must. Raises Refused."""
        maximum = self.config.maximum_memory_kib
        self._set_memory(kib, max(maximum, kib) if has_balloon(self._root) else kib)

    def _set_memory(self, initial: int, maximum: int) -> None:
        refuse_memory(self._root, maximum, self.config.maximum_memory_kib)
        self._set_kib("memory", maximum)
        self._set_kib("currentMemory", initial)

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
        options = self._root.find("os/cmdline")
        if virt_type == "kvm" and options is not None and options.text and _FASTER in options.text:
            # Domains of earlier versions have those alone.
            options.text = " ".join(options.text.replace(EMULATION_WORDS, "").replace(_FASTER, "").split())

    def add_crossing_ports(self) -> None:
        """Let the domain have the ports that what crosses between domains goes through; those that it has stay."""
        devices = self._root.find("devices")
        if devices is None:
            devices = etree.SubElement(self._root, "devices")
        there = {port_name(child) for child in devices.iterfind("channel")}
        devices.extend(channel(name) for name in CROSSING_PORTS if name not in there)

    def put_isolation(self, emulator: str, rules: str) -> None:
        """Let the domain's network be kept apart by *emulator*, with *rules* at its start; see network_xml.py."""
        put_isolation(self._root, emulator, rules)

    def set_filter(self, name: str, kinds: Collection[str]) -> None:
        """Let the interfaces of some *kinds* have a network filter of libvirt's.

        Raises Refused where they have another one already, which may be there for a reason.
        """
        for element in self._root.iterfind("devices/interface"):
            interface = read_interface(element)
            if interface.kind not in kinds or interface.filter == name:
                continue
            if interface.filter and not interface.filter.startswith(filter_name("")):
                raise Refused(f"it has the network filter “{interface.filter}” already: take that away first")
            set_filter(element, name)

    def rename_filter(self, before: str, after: str) -> None:
        """Let interfaces that have one network filter have another one."""
        for element in self._root.iterfind("devices/interface"):
            if read_interface(element).filter == before:
                set_filter(element, after)

    def put_downstream(self, wanted: bool) -> None:
        """Let the domain have the card by which it is the network of others, or none."""
        if (devices := self._root.find("devices")) is not None:
            put_downstream(devices, wanted)

    def take_isolation(self, qemu: str) -> None:
        """Let the domain be started by *qemu* itself, and its user networking be open to this machine's loopback."""
        take_isolation(self._root, qemu)

    def put_sound(self, server: str) -> None:
        """Let the domain play to the sound server at *server*, or to nobody; see sound_xml.py."""
        put_sound(self._root, server)

    def take_sound(self) -> None:
        """Take the sound device away that ``put_sound`` gave."""
        take_sound(self._root)

    def put_microphone(self) -> bool:
        """Let the domain hear what the server that plays it records; returns whether it does, see microphone_xml.py."""
        return put_microphone(self._root)

    def take_microphone(self) -> None:
        """Let the domain hear nothing of what ``put_microphone`` let it hear."""
        take_microphone(self._root)

    def set_disk_source(self, target: str, path: str, image_format: str) -> None:
        """Let the disk *target* take its bytes from another file.

        What belongs to the old one goes with it: what it stands on, its part of a larger file, its key, its labels.
        """
        for disk in self._root.iterfind("devices/disk"):
            found, source = disk.find("target"), disk.find("source")
            if found is None or found.get("dev") != target or source is None:
                continue
            gone: tuple[str, ...] = ("backingStore", "mirror")
            if source.get("file") != path:
                disk.set("type", "file")
                new = E.source(file=path)
                new.tail = source.tail
                disk.replace(source, new)
                gone = _OF_SOURCE
            for part in [part for part in disk if part.tag in gone]:
                disk.remove(part)
            driver = disk.find("driver")
            if driver is None:
                driver = E.driver(name="qemu")
                disk.insert(0, driver)
            driver.set("type", image_format)

    def set_disk_transient(self, target: str, transient: bool) -> None:
        """Let the disk *target* forget at the domain's end what was written, or keep it."""
        for disk in self._root.iterfind("devices/disk"):
            found = disk.find("target")
            if found is None or found.get("dev") != target:
                continue
            old = disk.find("transient")
            if old is not None and not transient:
                disk.remove(old)
            elif old is None and transient:
                shared = {"shareBacking": "yes"} if found.get("bus") in _SHARING_BUSES else {}
                etree.SubElement(disk, "transient", shared)

    def drop_written_disks(self, kept: Collection[str]) -> None:
        """Take away the disks that the domain writes to, as only one domain can, but for the targets *kept*."""
        for disk in self._root.findall("devices/disk"):
            parts = {child.tag: child for child in disk}
            is_harmless = disk.get("device") == "cdrom" or {"readonly", "transient", "shareable"} & parts.keys()
            if "source" in parts and not is_harmless and parts["target"].get("dev") not in kept:
                disk.getparent().remove(disk)  # type: ignore[union-attr]

    def keep_only_disks(self, kept: Collection[str]) -> None:
        """Take away all disks but the targets *kept*, discs too, and the devices of the host."""
        for disk in self._root.findall("devices/disk"):
            target = disk.find("target")
            if target is None or target.get("dev") not in kept:
                disk.getparent().remove(disk)  # type: ignore[union-attr]
        self._drop(*_OF_THE_HOST)

    def drop_host_devices(self) -> None:
        """Take away the devices of the host, which only one domain can have."""
        self._drop("hostdev")

    def _drop(self, *tags: str) -> None:
        for tag in tags:
            for device in self._root.findall(f"devices/{tag}"):
                device.getparent().remove(device)  # type: ignore[union-attr]

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

    def set_netvm(self, netvm: str) -> None:
        """Set what the first network interface connects to; empty takes all interfaces away."""
        devices = self._root.find("devices")
        if devices is None:
            devices = etree.SubElement(self._root, "devices")
        interfaces = upstream_interfaces(devices)
        if not netvm:
            for element in interfaces:
                devices.remove(element)
        elif interfaces:
            connect_to(interfaces[0], parse_netvm(netvm))
        else:
            devices.append(new_interface(parse_netvm(netvm)))

    def set_vcpus(self, count: int) -> None:
        """Set the number of virtual CPUs; how many may be added while it runs stays, if they are enough.

        Raises Refused when something else in the document says how many there are.
        """
        element = self._root.find("vcpu")
        if element is None:
            element = self._insert_after(("memory", "currentMemory"), "vcpu")
        most = int(element.text or 0)
        if "current" not in element.attrib or count > most:
            most = count
        refuse_vcpus(self._root, count, most)
        element.text = str(most)
        if count < most:
            element.set("current", str(count))
        else:
            element.attrib.pop("current", "")

    def set_kernelopts(self, options: str) -> None:
        """Set the command line of a directly booted kernel; empty takes it away."""
        system = self._root.find("os")
        if system is None:
            return
        element = system.find("cmdline")
        if element is None and options:
            element = etree.SubElement(system, "cmdline")
        if element is not None and not options:
            system.remove(element)
        elif element is not None:
            element.text = options

    def remove_title(self) -> None:
        """Take the title away."""
        for element in self._root.findall("title"):
            self._root.remove(element)

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
