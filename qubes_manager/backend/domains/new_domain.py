"""The XML of a domain that this program makes."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree
from lxml.builder import E

from qubes_manager.backend.domains import metadata
from qubes_manager.backend.domains.domain_xml import CPU_MODES, channel
from qubes_manager.backend.domains.interface_xml import new_interface
from qubes_manager.backend.domains.network_xml import put_isolation
from qubes_manager.core.crossing.ports import CROSSING_PORTS
from qubes_manager.core.domain import AGENT_PORT, GUI_PORT, DomainConfig
from qubes_manager.core.interfaces import parse_netvm

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
        prefix, bus = ("sd", "scsi") if self.cdrom else ("vd", "virtio")
        driver = E.driver(name="qemu", type=self.format)
        disk = E.disk(driver, type="file", device="cdrom" if self.cdrom else "disk")
        if not self.cdrom:
            # What a guest frees is given back to the host's file system.
            driver.set("discard", "unmap")
        if self.path:
            disk.append(E.source(file=self.path))
        disk.append(E.target(dev=prefix + letter, bus=bus))
        if self.serial:
            disk.append(E.serial(self.serial))
        if self.cdrom:
            disk.append(E.readonly())
        if self.transient:
            disk.append(E.transient(shareBacking="yes"))
        if self.secret:
            disk.append(E.encryption(E.secret(type="passphrase", uuid=self.secret), format="luks"))
        if self.boot_order:
            disk.append(E.boot(order=str(self.boot_order)))
        return disk


@dataclass(frozen=True, slots=True)
class NewDomain:
    """What a new domain is made of.

    *memory* and *max_memory* are in MiB, *virt_type* is kvm or qemu (software emulation). With *gui* the domain has
    the port that application windows come through. *nvram* is the path of a UEFI domain's variables.
    An *emulator* of ours keeps its network apart, by *rules*.
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
    nvram: str = ""
    gui: bool = False
    emulator: str = ""
    rules: str = ""

    def xml(self) -> str:
        """The domain's XML for virDomainDefineXML."""
        root = E.domain(
            E.name(self.name),
            *([E.uuid(self.uuid)] if self.uuid else []),
            *([E.description(self.config.notes)] if self.config.notes else []),
            E.metadata(metadata.for_new_domain(self.config)),
            E.memory(str(max(self.memory, self.max_memory)), unit="MiB"),
            E.currentMemory(str(self.memory), unit="MiB"),
            E.vcpu(str(self.vcpus)),
            self._system(),
            E.features(E.acpi()),
            E.cpu(mode=CPU_MODES.get(self.virt_type, CPU_MODES["qemu"])),
            E.on_poweroff("destroy"),
            E.on_reboot("restart"),
            E.on_crash("destroy"),
            E.devices(*self._disks(), *_controllers(), *self._interfaces(), *self._channels(), *self._screen()),
            type=self.virt_type,
        )
        if self.emulator:
            put_isolation(root, self.emulator, self.rules)
        return etree.tostring(root, encoding="unicode")

    def _system(self) -> etree._Element:
        boot = (E(name, value) for name in ("kernel", "initrd", "cmdline") if (value := getattr(self, name)))
        system = E.os(E.type("hvm", arch="x86_64", machine="q35"), *boot)
        if self.uefi:
            system.set("firmware", "efi")
            if self.nvram:
                system.append(E.nvram(self.nvram))
        return system

    def _disks(self) -> Iterator[etree._Element]:
        letters = {False: iter("abcdefgh"), True: iter("abcdefgh")}
        return (spec.xml(next(letters[spec.cdrom])) for spec in self.disks)

    def _interfaces(self) -> list[etree._Element]:
        return [new_interface(parse_netvm(self.netvm))] if self.netvm else []

    def _channels(self) -> Iterator[etree._Element]:
        log = [E.log(file=self.console_log, append="on")] if self.console_log else []
        yield E.serial(*log, type="pty")
        for name in (AGENT_PORT, *([GUI_PORT] if self.gui else []), *CROSSING_PORTS):
            yield channel(name)
        yield E.rng(E.backend("/dev/urandom", model="random"), model="virtio")

    def _screen(self) -> list[etree._Element]:
        if not self.graphics:
            return []
        return [
            E.graphics(E.listen(type="socket"), type="vnc"),
            E.video(E.model(type="virtio")),
            E.input(type="tablet", bus="usb"),
        ]


def _controllers() -> Iterator[etree._Element]:
    yield E.controller(type="usb", model="qemu-xhci")
    yield E.controller(type="scsi", model="virtio-scsi")
    yield E.controller(type="pci", model="pcie-root")
    for _ in range(_ROOT_PORTS):
        yield E.controller(type="pci", model="pcie-root-port")
