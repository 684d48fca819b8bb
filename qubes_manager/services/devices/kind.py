"""What there is to know of a class of devices: how they are found, given and taken back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Holder:
    """A domain that has a device, and by what name libvirt has it there: the target of a disk, the alias of others.

    *later*: it has it at its next start too, by its configuration.
    """

    domain: Domain
    place: str
    later: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """A device with the domains that have it."""

    device: Device
    holders: tuple[Holder, ...] = ()

    @property
    def used_by(self) -> str:
        """Who has it, in words; empty when it is free."""
        names = [f"{holder.domain.shown_name} ({holder.place})" for holder in self.holders]
        return ", ".join([self.device.in_use, *names] if self.device.in_use else names)


@dataclass(frozen=True, slots=True)
class Held:
    """A device that a domain has."""

    device: Device
    holder: Holder


class DeviceKind(Protocol):
    """One class of devices on all connections. Each waits for libvirt itself, and refreshes the domain afterwards."""

    @property
    def klass(self) -> DeviceClass: ...

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise BadInput for an option that devices of this class do not have, or a value that it cannot be."""

    async def offered(self, uri: str) -> list[Offered]:
        """Return the devices of a connection's host, each whole one before its parts; none where it has no such."""

    async def find(self, uri: str, name: DeviceName) -> Device:
        """Return the device that *name* means; raises NotFound, and Refused where it means several or another one."""

    async def held(self, domain: Domain) -> list[tuple[Device, Holder]]:
        """Return what a domain has of this class and can give back, though the host may not have it any more."""

    async def require(self, domain: Domain) -> None:
        """Raise Refused where what the domain's configuration has of this class cannot be given to it as it starts."""

    async def give(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        """Give a device to a domain and return its name there.

        Raises BadInput for an option that it does not have, Refused when somebody uses it, saying who.
        """

    async def take(self, holder: Holder, device: Device, *, force: bool = False, progress: Progress = SILENT) -> str:
        """Take a device back and return in a sentence what is so now, as that it is safe to pull out.

        *force* does so though the guest still uses it. Raises Refused, TimedOut where the guest keeps it.
        """

    def warnings(self, device: Device) -> list[str]:
        """Return what a user is to know before the device is given away, in sentences."""
