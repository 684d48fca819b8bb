"""Which devices are one thing that people hold in their hands, and on which machine."""

from urllib.parse import urlsplit

from qubes_manager.core.devices.device import Device

# What a drive's location has behind that of the USB device that it is in (backend/host/local_disks.py).
_INSIDE = ("-slot", "-part")


def machine_of(uri: str) -> str:
    """The machine of a connection: empty for this one, whose connections all have the same devices."""
    return urlsplit(uri).netloc.rpartition("@")[2]


def thing_of(device: Device) -> str:
    """The location of the thing that a device is or is in: a stick, its drives and their partitions have one."""
    place = device.location
    for mark in _INSIDE:
        place = place.partition(mark)[0]
    return place
