"""What a domain has of the host's devices, as its XML says it."""

from dataclasses import dataclass

from qubes_manager.core.devices.identity import DeviceClass


@dataclass(frozen=True, slots=True)
class HostDevice:
    """A device of the host that a domain has, or is to have from its start.

    *address* is where it is: of a USB device ``BUS.DEVICE`` in decimal, the numbers that the kernel gives it while it
    is plugged in, empty where the XML does not say them; of a PCI device its port, ``0000_00_14.0``. *product* is a
    USB device's ``0781:5581``, empty where the XML does not say it. *alias* is libvirt's name for it, empty where it
    has none yet. *managed*: libvirt takes it from the host's driver and gives it back. *element* is what has it in the
    XML: ``hostdev``, or the ``interface`` or ``disk`` that is made of a PCI device.
    """

    klass: DeviceClass
    address: str = ""
    product: str = ""
    alias: str = ""
    managed: bool = False
    element: str = "hostdev"
