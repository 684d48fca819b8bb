"""The wiring of what gives devices to domains, part of ``Services``."""

from functools import cached_property
from typing import TYPE_CHECKING

from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.user_files import UserFiles

if TYPE_CHECKING:
    from qubes_manager.services.devices.assigned import AssignedDevices
    from qubes_manager.services.devices.block_devices import BlockDevices
    from qubes_manager.services.devices.devices import Devices
    from qubes_manager.services.devices.microphone import Microphones
    from qubes_manager.services.devices.pci_devices import PciDevices
    from qubes_manager.services.devices.usb_devices import UsbDevices
    from qubes_manager.services.hosts.image_uses import ImageUses


class DeviceServices(UserFiles):
    """One of each service over the same hosts and store, made when it is first asked for."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        super().__init__(store)
        self.hosts = hosts

    @cached_property
    def uses(self) -> "ImageUses":
        """Who uses which image."""
        from qubes_manager.services.hosts.image_uses import ImageUses

        return ImageUses(self.hosts, self.store)

    @cached_property
    def block_devices(self) -> "BlockDevices":
        """The host's block devices."""
        from qubes_manager.services.devices.block_devices import BlockDevices

        return BlockDevices(self.hosts, self.store, self.uses)

    @cached_property
    def usb_devices(self) -> "UsbDevices":
        """The host's USB devices."""
        from qubes_manager.services.devices.usb_devices import UsbDevices

        return UsbDevices(self.hosts, self.store, self.uses)

    @cached_property
    def pci_devices(self) -> "PciDevices":
        """The host's PCI devices."""
        from qubes_manager.services.devices.pci_devices import PciDevices

        return PciDevices(self.hosts, self.store)

    @cached_property
    def microphones(self) -> "Microphones":
        """The microphone of this machine's user."""
        from qubes_manager.services.devices.microphone import Microphones

        return Microphones(self.hosts, self.store)

    @cached_property
    def devices(self) -> "Devices":
        """All devices of the host."""
        from qubes_manager.services.devices.devices import Devices

        kinds = (self.block_devices, self.usb_devices, self.pci_devices, self.microphones)
        return Devices(self.hosts, self.store, kinds)

    @cached_property
    def assigned_devices(self) -> "AssignedDevices":
        """Devices that domains are to have."""
        from qubes_manager.services.devices.assigned import AssignedDevices

        return AssignedDevices(self.hosts, self.store, lambda: self.devices)
