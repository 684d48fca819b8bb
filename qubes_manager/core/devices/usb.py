"""Whole USB devices: what they say of themselves, and what to know before one is given away."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from qubes_manager.core.devices.device import own_words
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass, safe_word
from qubes_manager.core.devices.interfaces import HID, HUB, KEYBOARD, MOUSE, fits, kind_of
from qubes_manager.core.errors import Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_line

# What it can do, where nobody knows: it fits no pattern but that of all USB devices.
UNKNOWN = "u******"
# So many interfaces stand in an ident; of those that have more a digest does, so that none of them goes unseen.
_MOST_CODES = 16
_MOST_NAMED = 5
# Wired and mobile adapters say that they are for communication; wireless ones share a class with Bluetooth.
_COMMUNICATION, _WIRELESS, _BLUETOOTH = "u02****", "ue0****", "ue00101"


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A whole USB device of the host, as it is plugged in now.

    *bus* and *number* are the kernel's numbers for it until it is unplugged, *port* its place in sysfs (``2-1.4``).
    *vendor_id* and *product_id* are four hexadecimal digits. *vendor*, *product* and *serial* are its own words.
    *interfaces* are the codes of all that it can be. *in_use* says what the host does with it, *behind* names what is
    plugged into a hub, and *drives* are the paths of the host's block devices that are in it or behind it.
    """

    port: str
    bus: int
    number: int
    vendor_id: str
    product_id: str
    vendor: str = ""
    product: str = ""
    serial: str = ""
    interfaces: tuple[str, ...] = (UNKNOWN,)
    in_use: str = ""
    behind: tuple[str, ...] = ()
    drives: tuple[str, ...] = ()

    @property
    def klass(self) -> DeviceClass:
        """USB, as all of these."""
        return DeviceClass.USB

    @property
    def location(self) -> str:
        """Where it is, by a name that stays when it is taken out and put in again: ``usb-2-1.4``."""
        return f"usb-{self.port}"

    @property
    def parent(self) -> str:
        """None: what is plugged into a hub is a whole device, and no part of it."""
        return ""

    @property
    def address(self) -> str:
        """Where it is until it is unplugged, as ``HostDevice.address`` has it: ``1.4``."""
        return f"{self.bus}.{self.number}"

    @property
    def product_code(self) -> str:
        """What it says that it is, by its numbers, as ``HostDevice.product`` has it: ``0781:5581``."""
        return f"{self.vendor_id}:{self.product_id}"

    @property
    def ident(self) -> str:
        """What it says that it is: vendor, product, serial number, and all its interfaces. All of it can be a lie."""
        codes = tuple(dict.fromkeys(self.interfaces))
        text = "".join(codes)
        if len(codes) > _MOST_CODES:
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            text = f"{''.join(codes[:_MOST_CODES])}_{digest}"
        return f"{self.product_code}:{safe_word(self.serial)}:{text.replace('*', 'x')}"

    @property
    def kind(self) -> str:
        """What people call such devices: “keyboard”."""
        return kind_of(self.interfaces).words

    @property
    def icon(self) -> str:
        """The picture of its kind."""
        return kind_of(self.interfaces).icon

    @property
    def name(self) -> str:
        """What people call it: in quotation marks what it calls itself, else its kind."""
        vendor, product = one_line(self.vendor, 40), one_line(self.product, 60)
        own = product if product.startswith(vendor) else f"{vendor} {product}".strip()
        return own_words(own or vendor, 101) or self.kind

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to say of it, in words: its kind, and its numbers, by which others know it."""
        return (self.product_code,) if self.name == self.kind else (self.kind, self.product_code)

    @property
    def description(self) -> str:
        """One line for people, with its name."""
        return f"{self.name} ({', '.join(self.notes)})"


def is_hub(device: UsbDevice) -> bool:
    """Whether others are plugged into it."""
    return _has(device, HUB)


def is_input(device: UsbDevice) -> bool:
    """Whether it can type or point, or says nothing of what it can.

    Not only the keyboards and mice that a BIOS knows: any of this class may send keys, which no code says.
    """
    return _has(device, HID) or UNKNOWN in device.interfaces


def is_network_adapter(device: UsbDevice) -> bool:
    """Whether it says that it connects to networks; what a maker's own driver makes of it no code says."""
    wireless = (code for code in device.interfaces if fits(_WIRELESS, code) and not fits(_BLUETOOTH, code))
    return _has(device, _COMMUNICATION) or any(wireless)


def usb_warnings(device: UsbDevice) -> list[str]:
    """Return what a user is to know before the device is given away, in sentences."""
    said = []
    if _has(device, KEYBOARD):
        said.append(f"{device.name} is a keyboard: you may be unable to type on this machine until it is back.")
    if _has(device, MOUSE):
        said.append(f"{device.name} is a mouse: you may be unable to point on this machine until it is back.")
    if is_input(device) and not said:
        what = "is an input device" if _has(device, HID) else "does not say what it can do, and may be an input device"
        said.append(f"{device.name} {what}: if you type or point with it, this machine loses it.")
    if _has(device, _BLUETOOTH):
        said.append(
            f"{device.name} is a Bluetooth adapter: this machine loses what is connected by it, which a keyboard or a "
            "mouse may be."
        )
    if is_network_adapter(device):
        said.append(f"{device.name} is a network adapter: this machine has no connection by it until it is back.")
    if is_hub(device):
        gone = f": {_listed(device.behind)}" if device.behind else ""
        said.append(
            f"{device.name} is a hub: this machine loses all that is plugged into it{gone}. The domain gets the hub "
            "alone: give it what is plugged in, one by one."
        )
    return said


def refuse_if_host_uses(device: UsbDevice) -> None:
    """Raise Refused when the host itself uses what is in the device, or behind it."""
    if device.in_use:
        raise Refused(f"{HOST_NAME} uses {device.name} at {device.port}: {device.in_use}; end that first")


def drive_use(port: str, in_use: str) -> str:
    """What the host does with a drive in a device, in words: ``disk sdb is mounted at /media/x``."""
    return f"disk {port} is {in_use}" if in_use.startswith("mounted") else f"disk {port} is in use ({in_use})"


def network_use(interface: str) -> str:
    """What the host does with a network adapter whose *interface* is up, in words."""
    return f"network interface {one_line(interface, 20)} is up: this machine may be reached by it"


def is_held_as(device: UsbDevice, held: HostDevice) -> bool:
    """Whether a running domain's *held* is this device. Numbers are given anew, so what it says of itself counts too.

    One that its XML names by what it is alone is any such device, as it is for libvirt.
    """
    if held.klass is not DeviceClass.USB:
        return False
    return held.address in ("", device.address) and held.product in ("", device.product_code)


def _has(device: UsbDevice, pattern: str) -> bool:
    return any(fits(pattern, code) for code in device.interfaces)


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
