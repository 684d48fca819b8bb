"""Handing the host's PCI devices to halted domains, which have them from their next start on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qubes_manager.backend.domains.pci_hostdevs import put_pci, take_pci
from qubes_manager.backend.host.pci_devices import list_pci_devices, pci_host
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.devices.assignment import assignment_for
from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.devices.pci import (
    PciDevice,
    PciHost,
    PciOptions,
    address_of,
    along_with,
    parse_options,
    port_of,
    warnings_for,
    why_not,
)
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.devices.devices import refuse_denied
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

_ITSELF = "hostdev"


@dataclass(frozen=True, slots=True)
class PciCheck:
    """Whether a device can be given away: why not, in sentences, and what of its IOMMU group would go along."""

    reasons: tuple[str, ...]
    along: tuple[PciDevice, ...]


class PciDevices:
    """The PCI devices of all connections. An IOMMU group goes as one, as nothing else would start."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    @property
    def klass(self) -> DeviceClass:
        """PCI."""
        return DeviceClass.PCI

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise BadInput for an option that a PCI device does not have, Refused for one of Xen's."""
        parse_options(options.items())

    async def offered(self, uri: str) -> list[Offered]:
        """Return the host's PCI devices but its bridges, which nobody can have; what cannot be given is there too."""
        devices = await list_pci_devices(self._hosts.connection(uri))
        return [Offered(device, self._holders(uri, device.port)) for device in devices if not device.is_bridge]

    async def find(self, uri: str, name: DeviceName) -> PciDevice:
        """Return the device that *name* means, be it a bridge; see DeviceKind."""
        return require_one(await list_pci_devices(self._hosts.connection(uri)), name, self.klass)

    async def held(self, domain: Domain) -> list[tuple[Device, Holder]]:
        """Return the devices that a domain starts with, as such; see DeviceKind."""
        held = _own(domain)
        if not held:
            return []
        try:
            listed = await list_pci_devices(self._hosts.connection(domain.key.connection))
        except QubesManagerError:
            # What is taken back need not be found.
            listed = []
        known = {device.port: device for device in listed}
        return [
            (
                known.get(one.address) or PciDevice(address_of(one.address)),
                Holder(domain, one.alias or one.address, True),
            )
            for one in held
        ]

    async def require(self, domain: Domain) -> None:
        """Raise Refused where a domain is not to start with what its configuration has: see DeviceKind.

        That is by addresses, at which another device may be by now, or one that the host uses since. Raises
        HostUnreachable, HostCallFailed, TimedOut.
        """
        held = _own(domain)
        if not held:
            return
        devices, host = await self._host(domain.key.connection)
        there = {device.port: device for device in devices}
        for one in held:
            if one.address not in there:
                raise Refused(
                    f"“{domain.name}” starts with the pci device {one.address}, which this machine does not have any "
                    f"more: put it in again, or {_how_to_take(domain, one.address)}"
                )
        found = [there[one.address] for one in held]
        _refuse_replaced(domain, found)
        for device in found:
            refuse_denied(domain, device)
            assignment = assignment_for(domain.config.assignments, device)
            # Nobody knows how it was given where that is not recorded; whether it can be reset was asked then.
            options = parse_options(assignment.options) if assignment else PciOptions(strict_reset=False)
            if reasons := why_not(device, host, devices, options, is_given=True):
                raise Refused(
                    f"“{domain.name}” starts with {device.port}, {device.name}, which cannot be given away now: "
                    f"{'; '.join(reasons)}. Put that right first, or {_how_to_take(domain, device.port)}"
                )

    async def check(self, uri: str, device: Device, options: Mapping[str, str]) -> PciCheck:
        """Return whether a device can be given away on this host; raises BadInput, and Refused for an option of Xen's.

        Devices that domains have already are left to ``give``.
        """
        wanted = parse_options(options.items())
        devices, host = await self._host(uri)
        found = _current(device, devices)
        return PciCheck(tuple(why_not(found, host, devices, wanted)), tuple(along_with(found, devices)))

    async def give(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        """Let a halted domain start with a device and what of its IOMMU group is in use; returns the device's port.

        Raises BadInput, NotFound, Refused with every reason that there is against it, or where the domain never gets
        one of them, HostCallFailed.
        """
        domain = self._changeable(key)
        async with domain_lock("pci devices", "the PCI devices of this machine"):
            check = await self.check(key.connection, device, options)
            if check.reasons:
                raise Refused(f"{device.port} cannot be given to “{domain.name}”: {'; '.join(check.reasons)}")
            ports = [device.port, *(one.port for one in check.along)]
            self._refuse_held(domain, ports)
            for one in (device, *check.along):
                refuse_denied(domain, one)
            await put_pci(self._hosts.connection(key.connection), key, domain.name, ports)
        await self._hosts.refresh(key)
        return device.port

    async def take(self, holder: Holder, device: Device, *, force: bool = False, progress: Progress = SILENT) -> str:
        """Let a halted domain start without a device and without the rest of its IOMMU group; a running one keeps it.

        Raises Refused, HostCallFailed.
        """
        if force:
            raise BadInput("force", "yes", "a pci device is taken back from a halted domain only: shut it down first")
        key = holder.domain.key
        domain = self._changeable(key)
        _refuse_others_elements(domain, device.port)
        # A device that is gone from the machine is in no group any more, and can be taken out all the same.
        members = {port_of(member) for member in device.members} if isinstance(device, PciDevice) else set()
        ports = sorted({device.port, *members})
        await take_pci(self._hosts.connection(key.connection), key, domain.name, ports)
        await self._hosts.refresh(key)
        return f"“{domain.name}” starts without {device.port} from now on; {HOST_NAME} has it"

    def warnings(self, device: Device) -> list[str]:
        """Return what goes along, and what is lost meanwhile."""
        return warnings_for(device) if isinstance(device, PciDevice) else []

    async def _host(self, uri: str) -> tuple[list[PciDevice], PciHost]:
        connection = self._hosts.connection(uri)
        return await list_pci_devices(connection), await pci_host(connection)

    def _holders(self, uri: str, port: str) -> tuple[Holder, ...]:
        return tuple(
            Holder(domain, held.alias or port, later=True)
            for domain in self._store.of_host(uri)
            for held in domain.config.host_devices
            if held.klass is DeviceClass.PCI and held.address == port
        )

    def _refuse_held(self, domain: Domain, ports: list[str]) -> None:
        for port in ports:
            for holder in self._holders(domain.key.connection, port):
                if holder.domain.key == domain.key and port == ports[0]:
                    raise Refused(f"“{domain.name}” has {port} already")
                if holder.domain.key != domain.key:
                    raise Refused(f"“{holder.domain.name}” has {port}: take it away there first")

    def _changeable(self, key: DomainKey) -> Domain:
        if self._store.require(key).is_host:
            raise Refused(f"{HOST_NAME} is this machine; its devices are its own")
        return self._store.require_halted(key)


def _current(device: Device, devices: list[PciDevice]) -> PciDevice:
    """The device as it is now: what the host does with it may have changed since it was listed."""
    found = next((one for one in devices if one.port == device.port), None)
    if found is None:
        raise NotFound(f"this machine has no pci device {device.port} any more")
    if found.ident != device.ident:
        raise Refused(f"at {device.port} there is another device by now: {found.name}; look at the list again")
    return found


def _own(domain: Domain) -> list[HostDevice]:
    """What a domain starts with as such; not what another program made an interface or a disk of."""
    return [one for one in domain.config.host_devices if one.klass is DeviceClass.PCI and one.element == _ITSELF]


def _refuse_replaced(domain: Domain, found: Sequence[PciDevice]) -> None:
    """Raise Refused where one of the devices that a domain starts with is there in place of one assigned to it.

    Of an IOMMU group that one alone is assigned for which it was given; the others are known by it.
    """
    assigned = [one for one in domain.config.assignments if one.klass is DeviceClass.PCI]
    gone = [one for one in assigned if not any(one.fits(device) for device in found)]
    known = [device for device in found if any(one.fits(device) for one in assigned)]
    groups = {device.group for device in known} - {None}
    strangers = [device for device in found if device not in known and device.group not in groups]
    if not (gone and strangers):
        return
    device, was = next(((d, a) for d in strangers for a in gone if a.port == d.location), (strangers[0], gone[0]))
    raise Refused(
        f"“{domain.name}” starts with {device.port}, where there is another device by now than the one that is "
        f"assigned, {was.name.text}: {device.name} ({device.ident or 'it does not say what it is'}). Put the other one "
        f"in again, or {_how_to_take(domain, device.port)}, and assign what it is to have"
    )


def _how_to_take(domain: Domain, port: str) -> str:
    return f"take it away (qvm-device pci detach {domain.name} {DeviceName(port).text})"


def _refuse_others_elements(domain: Domain, port: str) -> None:
    for held in domain.config.host_devices:
        if held.klass is DeviceClass.PCI and held.address == port and held.element != _ITSELF:
            raise Refused(
                f"“{domain.name}” has {port} as its {held.element}, which another program made: take it away there"
            )
