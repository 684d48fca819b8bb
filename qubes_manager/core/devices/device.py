"""What all devices have in common, whatever they are."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.text import one_line


class Device(Protocol):
    """A device that can be given to a domain. What it says of itself is not to be believed."""

    @property
    def klass(self) -> DeviceClass: ...

    @property
    def port(self) -> str:
        """Where it is, by the name that commands have for it: ``sdb``."""

    @property
    def location(self) -> str:
        """Where it is, by a name that stays when it is taken out and put in again: ``usb-2-1``."""

    @property
    def ident(self) -> str:
        """What it says that it is, in letters that are safe anywhere; empty where it says nothing."""

    @property
    def name(self) -> str:
        """What people call it; in quotation marks where that is its own word."""

    @property
    def description(self) -> str:
        """One line for people, with its name."""

    @property
    def icon(self) -> str:
        """The picture of its kind."""

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The codes of what it can do (core/devices/interfaces.py)."""

    @property
    def parent(self) -> str:
        """The port of the device of the same class that it is a part of; empty for a whole one."""

    @property
    def in_use(self) -> str:
        """What the host does with it, in words; empty where nothing."""


D = TypeVar("D", bound=Device)
# What would seem to end its words, or to begin others.
_QUOTES = str.maketrans(dict.fromkeys('“”„‟"«»', "'"))


def own_words(text: str, limit: int) -> str:
    """What a device says of itself, clean, in quotation marks that it cannot close; empty where it says nothing."""
    own = one_line(text[: 4 * limit].translate(_QUOTES), limit)
    return f"“{own}”" if own else ""


def is_called(device: Device, name: DeviceName) -> bool:
    """Whether *name* means this device."""
    return name.port in (ANY, device.port, device.location) and name.ident in ("", ANY, device.ident)


def require_one(devices: Iterable[D], name: DeviceName, klass: DeviceClass) -> D:
    """Return the device that *name* means; raises NotFound, and Refused where it means several or another one."""
    everything = list(devices)
    found = [device for device in everything if is_called(device, name)]
    if len(found) > 1:
        raise Refused(f"{name.text} could be {' or '.join(device.port for device in found)}: name the port")
    if found:
        return found[0]
    at_port = next((device for device in everything if name.port in (device.port, device.location)), None)
    if at_port:
        raise Refused(
            f"at {name.port} there is another device than {name.ident}: it says that it is {at_port.ident or 'nothing'}"
        )
    raise NotFound(f"this machine has no {klass} device {name.text}")
