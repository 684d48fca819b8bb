"""The XML of a domain that this program makes."""

from dataclasses import dataclass

from lxml import etree

from qubes_manager.backend.domains import metadata
from qubes_manager.backend.domains.domain_xml import CPU_MODES, interface
from qubes_manager.core.domain import GUI_PORT, DomainConfig

# On q35 every PCI device takes a root port, and so does each hot-plugged one; libvirt alone keeps one spare.
_ROOT_PORTS = 14


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk of a new domain: a file by path, its format, and what it is.

    A *transient* disk forgets at the domain's end what was written, and its file may be shared. *secret* is the UUID
    of the libvirt secret that holds the passphrase of an encrypted one.
    """

    path: str
    format: str = "qcow2"
    cdrom: bool = False
    boot_order: int = 0
    serial: str = ""
    transient: bool = False
    secret: str = ""

    def xml(self, letter: str) -> etree._Element:
        """libvirt's element for the disk, as the one with that *letter* on its bus."""
        disk = etree.Element("disk", type="file", device="cdrom" if self.cdrom else "disk")
        driver = etree.SubElement(disk, "driver", name="qemu", type=self.format)
        if not self.cdrom:
            # What a guest frees is given back to the host's file system.
            driver.set("discard", "unmap")
        if self.path:
            etree.SubElement(disk, "source", file=self.path)
        prefix, bus = ("sd", "scsi") if self.cdrom else ("vd", "virtio")
        etree.SubElement(disk, "target", dev=prefix + letter, bus=bus)
        if self.serial:
            etree.SubElement(disk, "serial").text = self.serial
        if self.cdrom:
            etree.SubElement(disk, "readonly")
        if self.transient:
            etree.SubElement(disk, "transient", shareBacking="yes")
        if self.secret:
            encryption = etree.SubElement(disk, "encryption", format="luks")
            etree.SubElement(encryption, "secret", type="passphrase", uuid=self.secret)
        if self.boot_order:
            etree.SubElement(disk, "boot", order=str(self.boot_order))
        return disk


@dataclass(frozen=True, slots=True)
class NewDomain:
    """What a new domain is made of.

    *memory* and *max_memory* are in MiB, *virt_type* is kvm or qemu (software emulation). With *gui* the domain has
    the port that application windows come through.
    """

    name: str
    config: DomainConfig
    uuid: str = ""
    memory: int = 2048
    max_memory: int = 0
    vcpus: int = 2
    virt_type: str = "kvm"
    disks: tuple[DiskSpec, ...] = ()
    netvm: str = ""
    console_log: str = ""
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    graphics: bool = True
    uefi: bool = False
    gui: bool = False

    def xml(self) -> str:
        """The domain's XML for virDomainDefineXML."""
        root = etree.Element("domain", type=self.virt_type)
        _text(root, "name", self.name)
        if self.uuid:
            _text(root, "uuid", self.uuid)
        if self.config.notes:
            _text(root, "description", self.config.notes)
        etree.SubElement(root, "metadata").append(metadata.for_new_domain(self.config))
        _text(root, "memory", str(max(self.memory, self.max_memory)), unit="MiB")
        _text(root, "currentMemory", str(self.memory), unit="MiB")
        _text(root, "vcpu", str(self.vcpus))
        self._add_system(root)
        devices = etree.SubElement(root, "devices")
        self._add_disks(devices)
        self._add_controllers(devices)
        if self.netvm:
            devices.append(interface(self.netvm))
        self._add_channels(devices)
        if self.graphics:
            graphics = etree.SubElement(devices, "graphics", type="vnc")
            etree.SubElement(graphics, "listen", type="socket")
            etree.SubElement(etree.SubElement(devices, "video"), "model", type="virtio")
            etree.SubElement(devices, "input", type="tablet", bus="usb")
        return etree.tostring(root, encoding="unicode")

    def _add_system(self, root: etree._Element) -> None:
        system = etree.SubElement(root, "os")
        if self.uefi:
            system.set("firmware", "efi")
        _text(system, "type", "hvm", arch="x86_64", machine="q35")
        for name in ("kernel", "initrd", "cmdline"):
            if value := getattr(self, name):
                _text(system, name, value)
        features = etree.SubElement(root, "features")
        etree.SubElement(features, "acpi")
        etree.SubElement(root, "cpu", mode=CPU_MODES.get(self.virt_type, CPU_MODES["qemu"]))
        _text(root, "on_poweroff", "destroy")
        _text(root, "on_reboot", "restart")
        _text(root, "on_crash", "destroy")

    def _add_disks(self, devices: etree._Element) -> None:
        letters = {False: iter("abcdefgh"), True: iter("abcdefgh")}
        for spec in self.disks:
            devices.append(spec.xml(next(letters[spec.cdrom])))

    def _add_controllers(self, devices: etree._Element) -> None:
        etree.SubElement(devices, "controller", type="usb", model="qemu-xhci")
        etree.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
        etree.SubElement(devices, "controller", type="pci", model="pcie-root")
        for _ in range(_ROOT_PORTS):
            etree.SubElement(devices, "controller", type="pci", model="pcie-root-port")

    def _add_channels(self, devices: etree._Element) -> None:
        serial = etree.SubElement(devices, "serial", type="pty")
        if self.console_log:
            etree.SubElement(serial, "log", file=self.console_log, append="on")
        channel = etree.SubElement(devices, "channel", type="unix")
        etree.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
        if self.gui:
            windows = etree.SubElement(devices, "channel", type="unix")
            etree.SubElement(windows, "target", type="virtio", name=GUI_PORT)
        rng = etree.SubElement(devices, "rng", model="virtio")
        _text(rng, "backend", "/dev/urandom", model="random")


def _text(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    etree.SubElement(parent, name, attributes).text = text
