"""The XML of a domain that this program makes."""

from dataclasses import dataclass

from lxml import etree

from qubes_manager.backend import metadata
from qubes_manager.core.domain import DomainConfig

# On q35 every PCI device takes a root port, and so does each hot-plugged one; libvirt alone keeps one spare.
_ROOT_PORTS = 14


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk of a new domain: a file by path, its format, and whether it is an optical disc."""

    path: str
    format: str = "qcow2"
    cdrom: bool = False
    boot_order: int = 0


@dataclass(frozen=True, slots=True)
class NewDomain:
    """What a new domain is made of. *memory* is in MiB, *virt_type* is kvm or qemu (software emulation)."""

    name: str
    config: DomainConfig
    memory: int = 2048
    vcpus: int = 2
    virt_type: str = "kvm"
    disks: tuple[DiskSpec, ...] = ()
    netvm: str = ""
    console_log: str = ""
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    graphics: bool = True

    def xml(self) -> str:
        """The domain's XML for virDomainDefineXML."""
        root = etree.Element("domain", type=self.virt_type)
        _text(root, "name", self.name)
        if self.config.notes:
            _text(root, "description", self.config.notes)
        etree.SubElement(root, "metadata").append(metadata.for_new_domain(self.config))
        _text(root, "memory", str(self.memory), unit="MiB")
        _text(root, "vcpu", str(self.vcpus))
        self._add_system(root)
        devices = etree.SubElement(root, "devices")
        self._add_disks(devices)
        self._add_controllers(devices)
        if self.netvm:
            self._add_interface(devices)
        self._add_channels(devices)
        if self.graphics:
            graphics = etree.SubElement(devices, "graphics", type="vnc")
            etree.SubElement(graphics, "listen", type="socket")
            etree.SubElement(etree.SubElement(devices, "video"), "model", type="virtio")
            etree.SubElement(devices, "input", type="tablet", bus="usb")
        return etree.tostring(root, encoding="unicode")

    def _add_system(self, root: etree._Element) -> None:
        system = etree.SubElement(root, "os")
        _text(system, "type", "hvm", arch="x86_64", machine="q35")
        for name in ("kernel", "initrd", "cmdline"):
            if value := getattr(self, name):
                _text(system, name, value)
        features = etree.SubElement(root, "features")
        etree.SubElement(features, "acpi")
        mode = "host-passthrough" if self.virt_type == "kvm" else "maximum"
        etree.SubElement(root, "cpu", mode=mode)
        _text(root, "on_poweroff", "destroy")
        _text(root, "on_reboot", "restart")
        _text(root, "on_crash", "destroy")

    def _add_disks(self, devices: etree._Element) -> None:
        letters = {False: iter("abcdefgh"), True: iter("abcdefgh")}
        for spec in self.disks:
            disk = etree.SubElement(devices, "disk", type="file", device="cdrom" if spec.cdrom else "disk")
            etree.SubElement(disk, "driver", name="qemu", type=spec.format)
            if spec.path:
                etree.SubElement(disk, "source", file=spec.path)
            prefix, bus = ("sd", "scsi") if spec.cdrom else ("vd", "virtio")
            etree.SubElement(disk, "target", dev=prefix + next(letters[spec.cdrom]), bus=bus)
            if spec.cdrom:
                etree.SubElement(disk, "readonly")
            if spec.boot_order:
                etree.SubElement(disk, "boot", order=str(spec.boot_order))

    def _add_controllers(self, devices: etree._Element) -> None:
        etree.SubElement(devices, "controller", type="usb", model="qemu-xhci")
        etree.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
        etree.SubElement(devices, "controller", type="pci", model="pcie-root")
        for _ in range(_ROOT_PORTS):
            etree.SubElement(devices, "controller", type="pci", model="pcie-root-port")

    def _add_interface(self, devices: etree._Element) -> None:
        kind = "user" if self.netvm == "user" else "network"
        interface = etree.SubElement(devices, "interface", type=kind)
        if kind == "network":
            etree.SubElement(interface, "source", network=self.netvm)
        etree.SubElement(interface, "model", type="virtio")

    def _add_channels(self, devices: etree._Element) -> None:
        serial = etree.SubElement(devices, "serial", type="pty")
        if self.console_log:
            etree.SubElement(serial, "log", file=self.console_log, append="on")
        channel = etree.SubElement(devices, "channel", type="unix")
        etree.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
        rng = etree.SubElement(devices, "rng", model="virtio")
        _text(rng, "backend", "/dev/urandom", model="random")


def _text(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    etree.SubElement(parent, name, attributes).text = text
