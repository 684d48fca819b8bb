"""Handing whole USB devices of the host to domains that run: cameras, drives, keys, whatever is plugged in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from qubes_manager.backend.domains.usb_hostdevs import attach_usb, detach_usb, port_of
from qubes_manager.backend.host.daemon_paths import is_on_this_machine
from qubes_manager.backend.host.usb_access import usb_access
from qubes_manager.backend.host.usb_devices import list_usb_devices
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.host_device import HostDevice
from qubes_manager.core.devices.identity import DeviceClass, DeviceName
from qubes_manager.core.devices.usb import UsbDevice, is_held_as, refuse_if_host_uses, usb_warnings
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import BadInput, QubesManagerError, Refused
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_saved

_QEMU = "qemu"


class UsbDevices:
    """The USB devices of all connections' hosts, given and taken whole (services/devices/kind.py)."""

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses

    @property
    def klass(self) -> DeviceClass:
        """USB."""
        return DeviceClass.USB

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise BadInput for any option: a USB device has none."""
        for option in options:
            raise BadInput("option", option[:80], "a usb device has no options")

    async def offered(self, uri: str) -> list[Offered]:
        """Return the USB devices of a connection's host, by their ports, with the domains that have them."""
        devices = await list_usb_devices(self._hosts.connection(uri))
        return [Offered(device, tuple(self._holders(uri, device))) for device in devices]

    async def find(self, uri: str, name: DeviceName) -> UsbDevice:
        """Return the device that *name* means; raises NotFound, and Refused where it means several or another one."""
        return require_one(await list_usb_devices(self._hosts.connection(uri)), name, self.klass)

    async def held(self, domain: Domain) -> list[tuple[Device, Holder]]:
        """Return what a running domain has; of what was unplugged meanwhile there is what its XML says of it."""
        held = [one for one in domain.config.host_devices if one.klass is self.klass] if domain.state.is_active else []
        if not held:
            return []
        listed = await self._listed(domain.key.connection)
        return [(_device(one, listed or ()), Holder(domain, one.alias)) for one in held]

    async def _listed(self, uri: str) -> list[UsbDevice] | None:
        """What is plugged in; None where nobody says it: what is taken back need not be found."""
        try:
            return await list_usb_devices(self._hosts.connection(uri))
        except QubesManagerError:
            return None

    async def require(self, domain: Domain) -> None:
        """Nothing: they come when it runs."""

    async def give(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        """Give a device to a running domain until that ends, and return libvirt's name for it there.

        Raises BadInput for any option, NotFound where the device is gone, Refused where another one is in its place,
        where the host or a domain uses it or a drive in it, saying who, and where the user may not open it.
        """
        self.check_options(options)
        domain = self._taker(key)
        connection = self._hosts.connection(key.connection)
        name = DeviceName(device.port, device.ident)
        async with domain_lock(f"usb {device.location}", device.name):
            # As it is now: whatever was plugged in since it was listed is another one.
            found = await self.find(key.connection, name)
            await self._hosts.refresh_host(key.connection)
            refuse_if_host_uses(found)
            self._refuse_if_held(domain, found)
            await self._refuse_if_drive_held(key.connection, found)
            async with usb_access(key.connection, found.bus, found.number, found.name):
                place = await attach_usb(connection, key.uuid, domain.name, found)
        await self._hosts.refresh(key)
        return place

    async def take(self, holder: Holder, device: Device, *, force: bool = False, progress: Progress = SILENT) -> str:
        """Take a device back, and return in a sentence where it is now; *force* changes nothing.

        The domain's system is not asked, which has it as pulled out. Raises NotFound, TimedOut, HostCallFailed.
        """
        key, name = holder.domain.key, holder.domain.name
        connection = self._hosts.connection(key.connection)
        detached = await detach_usb(connection, key.uuid, name, holder.place, device.name)
        await self._hosts.refresh(key)
        listed = await self._listed(key.connection)
        said = f"“{name}” does not have {device.name} any more"
        if listed is not None:
            is_here = any(one.port == device.port for one in listed)
            said += f"; {HOST_NAME} has it again" if is_here else "; it is not plugged in"
        if detached.comes_back:
            said += f", until the next start of “{name}”, whose configuration has it"
        return said

    def warnings(self, device: Device) -> list[str]:
        """Return what a user is to know before the device is given away: of keyboards, mice and hubs."""
        return usb_warnings(device) if isinstance(device, UsbDevice) else []

    def _taker(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused(f"{HOST_NAME} is this machine; its devices are its own")
        refuse_saved(domain)
        if not domain.state.is_active:
            raise Refused(f"“{domain.name}” does not run: start it first, or assign the device to it for its starts")
        return domain

    def _holders(self, uri: str, device: UsbDevice) -> Iterator[Holder]:
        """The domains that have it; those of this machine's other connections too, since all have the same devices."""
        for one in self._same_host(uri):
            for domain in self._store.of_host(one):
                if not domain.is_host and domain.state.is_active:
                    held = (host for host in domain.config.host_devices if is_held_as(device, host))
                    yield from (Holder(domain, host.alias) for host in held)

    def _same_host(self, uri: str) -> Sequence[str]:
        if not _is_local_qemu(uri):
            return (uri,)
        return [uri, *(other for other in self._hosts.uris if other != uri and _is_local_qemu(other))]

    def _refuse_if_held(self, domain: Domain, device: UsbDevice) -> None:
        for holder in self._holders(domain.key.connection, device):
            if holder.domain.key == domain.key:
                raise Refused(f"“{domain.name}” has {device.name} already")
            raise Refused(f"“{holder.domain.name}” has {device.name}: detach it there first")

    async def _refuse_if_drive_held(self, uri: str, device: UsbDevice) -> None:
        """Raise Refused where a domain has a drive in it, or a part of one, as a disk."""
        if not device.drives:
            return
        files = await self._uses.of_paths(uri, device.drives)
        for one in self._same_host(uri):
            for use in await self._uses.of_host(one):
                if use.active and any(file.is_in(files.values()) for file in use.files):
                    raise Refused(f"“{use.domain}” has a drive in {device.name} as {use.place}: detach it there first")


def _device(held: HostDevice, listed: Iterable[UsbDevice]) -> UsbDevice:
    """What a domain has: as it is plugged in, or what is known of it without."""
    if found := next((device for device in listed if is_held_as(device, held)), None):
        return found
    bus, _, number = held.address.partition(".")
    vendor, _, product = held.product.partition(":")
    port = port_of(held.alias) or held.address or held.alias
    return UsbDevice(port, int(bus or 0), int(number or 0), vendor or "0000", product or "0000")


def _is_local_qemu(uri: str) -> bool:
    return uri.startswith(_QEMU) and is_on_this_machine(uri)
