"""PCI devices of a host, and the rules for handing one to a domain.

A domain's device writes to memory by itself. Only an IOMMU keeps it to its domain's, and keeps devices apart by groups:
what is in one goes to one domain, or is used by nobody (https://docs.kernel.org/driver-api/vfio.html).
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from qubes_manager.core.devices.device import own_words
from qubes_manager.core.devices.identity import DeviceClass, safe_word
from qubes_manager.core.devices.interfaces import kind_of
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_line

# An option of Qubes': a device that nobody can reset brings along what its last user left in it.
NO_STRICT_RESET, PERMISSIVE = "no-strict-reset", "permissive"
_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0", "")
_BRIDGE, _PCI_BRIDGE, _STORAGE, _GRAPHICS = "06", "0604", "01", "03"
# What may hang on a device of another machine, by its class: that machine may be lost with it.
_UNSEEN = {
    _STORAGE: "what that machine does with the disks on it cannot be seen from here; it may run from them",
    "02": "whether that machine is reached by it cannot be seen from here",
    "0c03": "what is plugged into it cannot be seen from here: that machine may run from it, or be reached by it",
    _GRAPHICS: "whether that machine shows anything by it cannot be seen from here",
}
# Drivers that leave a device alone, so that its group can be given away (vfio_driver_allowed in the kernel's vfio).
_IDLE_DRIVERS = ("", "vfio-pci", "pci-stub", "pcieport")
_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2}\.[0-7])")
_ROOT = re.compile(r"pci[0-9a-f]{4,8}:([0-9a-f]{2})")
_MAX_PATH = 4096


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A PCI device by its *address* (``0000:00:14.0``), with its codes in hexadecimal digits as the bus has them.

    *vendor* and *product* are the names that the host's list has for the codes. *driver* has it now; *group* is the
    number of its IOMMU group, None without one, *members* the addresses of all in it. *can_reset*: None where that is
    not known. *uses* says what the host does with it; *carries* what hangs on it, in words. *is_local*: whether it is
    this machine's, of which uses are known. *place* is the chain of bridges to it, which bus numbers do not change.
    """

    address: str
    class_code: str = ""
    vendor_id: str = ""
    product_id: str = ""
    vendor: str = ""
    product: str = ""
    driver: str = ""
    group: int | None = None
    members: tuple[str, ...] = ()
    can_reset: bool | None = None
    uses: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()
    place: str = ""
    is_local: bool = False

    @property
    def klass(self) -> DeviceClass:
        """PCI, as all of these."""
        return DeviceClass.PCI

    @property
    def port(self) -> str:
        """Its address, without what a device's name has colons for: ``0000_00_14.0``."""
        return port_of(self.address)

    @property
    def location(self) -> str:
        """The bridges to it, and its own slot: ``00_1c.0-00_00.0``; stays as long as nobody moves the card."""
        return self.place or self.port

    @property
    def parent(self) -> str:
        """Nothing: it is whole."""
        return ""

    @property
    def ident(self) -> str:
        """What it says that it is: vendor, product and class."""
        if not (self.vendor_id and self.product_id):
            return ""
        return ":".join(safe_word(part) for part in (self.vendor_id, self.product_id, *self.interfaces))

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Its one code; ``*`` for what the host does not say."""
        return (f"p{self.class_code or '******'}",)

    @property
    def icon(self) -> str:
        """The picture of its kind."""
        return kind_of(self.interfaces).icon

    @property
    def kind(self) -> str:
        """What people call such a device."""
        return kind_of(self.interfaces).words

    @property
    def name(self) -> str:
        """What people call it: its kind, and in quotation marks what it says that it is."""
        return f"{self.kind} {own_words(f'{self.vendor[:120]} {self.product[:120]}', 80)}".rstrip()

    @property
    def description(self) -> str:
        """One line for people, with its address."""
        group = "no IOMMU group" if self.group is None else f"IOMMU group {self.group}"
        driver = one_line(self.driver, 40)
        return f"{self.name} ({', '.join(filter(None, (self.address, driver, group)))})"

    @property
    def in_use(self) -> str:
        """What the host does with it; a driver alone is no use."""
        return ", ".join(one_line(use, 80) for use in self.uses)

    @property
    def is_bridge(self) -> bool:
        """Whether it leads to other devices, or is the chipset's own."""
        return self.class_code.startswith(_BRIDGE)


@dataclass(frozen=True, slots=True)
class PciHost:
    """What a host can do with PCI devices. *has_iommu* is None where libvirt does not say it."""

    uri: str
    has_iommu: bool | None = None

    @property
    def is_session(self) -> bool:
        """Whether its libvirt is an ordinary user's, which takes no device from its driver."""
        return urlsplit(self.uri).path == "/session"


@dataclass(frozen=True, slots=True)
class PciOptions:
    """How a device is given. *strict_reset*: only where it can be reset between two users."""

    strict_reset: bool = True


def parse_options(options: Iterable[tuple[str, str]]) -> PciOptions:
    """Return what Qubes' options mean here; raises BadInput, and Refused for one that is Xen's alone."""
    strict = True
    for name, value in options:
        if name not in (NO_STRICT_RESET, PERMISSIVE):
            raise BadInput("option", name[:80], f"a pci device has {NO_STRICT_RESET} only")
        if value.lower() not in (*_TRUE, *_FALSE):
            raise BadInput(name, value[:80], "use yes or no")
        if value.lower() in _FALSE:
            continue
        if name == PERMISSIVE:
            # libvirt's writeFiltering='no' is refused by its QEMU driver: QEMU and the kernel filter by themselves.
            raise Refused(f"{PERMISSIVE} is an option of Xen’s; QEMU has none such: leave it out")
        strict = False
    return PciOptions(strict)


def port_of(address: str) -> str:
    """The port of a device at an address: ``0000_00_14.0``."""
    return address.replace(":", "_")


def address_of(port: str) -> str:
    """The address of a device at a port; raises BadInput where it is none."""
    address = port[:20].replace("_", ":")
    if not _ADDRESS.fullmatch(address):
        raise BadInput("device", port[:80], "a pci device is written 0000_00_14.0")
    return address


def place_of(path: str) -> str:
    """Return the bridges' slots on the way to the device at a path in sysfs; empty where it is no PCI device's.

    The bus of all but the first is as their bridge numbers it, which another card can change: it counts as 0.
    """
    parts = path[:_MAX_PATH].rstrip("/").split("/")
    if not _ADDRESS.fullmatch(parts[-1]):
        return ""
    words, root = [], ""
    for part in parts:
        if found := _ROOT.fullmatch(part):
            root = found[1]
        elif found := _ADDRESS.fullmatch(part):
            words.append(f"{root if root and found[2] == root else '00'}_{found[3]}")
            # A bus of its own begins where another root stands on the way, as behind Intel's VMD.
            root = ""
    domain = parts[-1].split(":", 1)[0]
    return "-".join(words) if domain == "0000" else f"{domain}-{'-'.join(words)}"


def along_with(device: PciDevice, devices: Iterable[PciDevice]) -> list[PciDevice]:
    """Return the other devices of its group that the host uses now: none of them can stay when it goes."""
    if device.group is None:
        return []
    others = (one for one in devices if one.group == device.group and one.address != device.address)
    return [one for one in others if not one.class_code.startswith(_PCI_BRIDGE) and one.driver not in _IDLE_DRIVERS]


def why_not(
    device: PciDevice,
    host: PciHost,
    devices: Collection[PciDevice],
    options: PciOptions | None = None,
    *,
    is_given: bool = False,
) -> list[str]:
    """Return in sentences why a device cannot be given away; nothing where it can. *devices* are all there are.

    *is_given*: somebody decided before that a domain has it, so that what cannot be seen from here is no reason.
    """
    reasons = list(_reasons_of_host(host))
    if host.has_iommu and device.group is None:
        reasons.append("the IOMMU does not look after it: it has no IOMMU group")
    if device.is_bridge:
        return [*reasons, f"it is a {device.kind}: a part of the machine itself, which other devices are behind"]
    wanted = options or PciOptions()
    reasons += _own_reasons(device, devices, wanted, is_given=is_given)
    for other in along_with(device, devices):
        if other.is_bridge:
            own = [f"it is a {other.kind}, a part of the machine itself"]
        else:
            own = _own_reasons(other, devices, wanted, is_given=is_given)
        reasons += [f"{other.address}, {other.name}, is in its IOMMU group and would go along: {one}" for one in own]
    return reasons


def _reasons_of_host(host: PciHost) -> Iterable[str]:
    if host.is_session:
        yield "an ordinary user’s libvirt cannot hand over PCI devices: use the connection qemu:///system"
    if host.has_iommu is False:
        yield (
            f"{HOST_NAME} runs without an IOMMU, which keeps a device to the memory of its domain: turn on VT-d "
            "(Intel) or AMD-Vi in the firmware’s settings, with Intel add intel_iommu=on to the kernel’s options, and "
            "start the machine anew"
        )


def _own_reasons(device: PciDevice, devices: Iterable[PciDevice], options: PciOptions, *, is_given: bool) -> list[str]:
    reasons = []
    if device.uses:
        reasons.append(f"{HOST_NAME} uses it: {device.in_use}")
    elif not device.is_local and not is_given:
        reasons += [words for code, words in _UNSEEN.items() if device.class_code.startswith(code)]
        if not device.class_code:
            reasons.append("its host does not say what it is; that machine may run from what is on it")
    is_graphics = device.class_code.startswith(_GRAPHICS)
    if is_graphics and sum(one.class_code.startswith(_GRAPHICS) for one in devices) < 2:
        reasons.append("it is the only graphics card: nothing of this machine could be seen any more")
    if options.strict_reset and device.can_reset is False:
        reasons.append(
            "it cannot be reset, so that its next user would find what the last one left in it: if that is no matter, "
            f"give it with the option {NO_STRICT_RESET}=yes"
        )
    return reasons


def warnings_for(device: PciDevice) -> list[str]:
    """Return what a user is to know before the device is given away."""
    found = [f"while the domain runs, {HOST_NAME} does not have {device.address}, {device.name}"]
    if device.carries:
        found.append(f"what is on it goes along: {', '.join(one_line(one, 80) for one in device.carries)}")
    if device.can_reset is None:
        found.append("whether it can be reset between two users cannot be seen from here")
    if device.can_reset is False:
        found.append("it cannot be reset: its next user, this machine too, finds what the last one left in it")
    others = [port for port in map(port_of, device.members) if port != device.port]
    if others:
        found.append(f"its IOMMU group has {', '.join(others)} too: what of that is in use goes along with it")
    found.append("it writes to the domain’s memory by itself, so that the domain has all its memory from its start on")
    return found
