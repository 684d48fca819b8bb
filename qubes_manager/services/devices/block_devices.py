"""Handing the host's block devices and disk images to domains. Nothing is attached by itself."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from qubes_manager.backend.domains import disks
from qubes_manager.backend.host.block_server import NotWritten
from qubes_manager.backend.host.daemon_paths import is_users
from qubes_manager.backend.host.desktop_notice import show_notice
from qubes_manager.backend.host.node_devices import find_block_device, list_block_devices
from qubes_manager.backend.storage.images import check_attachable, check_readable
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.devices.block import (
    DISK,
    IMAGE,
    LUN,
    OPTICAL_DRIVE,
    BlockDevice,
    DiskRequest,
    identity_of,
    refuse_if_held,
    refuse_if_host_uses,
    request_of,
)
from qubes_manager.core.devices.device import Device, require_one
from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import HostCallFailed, NotFound, QubesManagerError, Refused
from qubes_manager.core.hardware import Disk, Layer
from qubes_manager.core.image_use import ImageUse
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volume_use import image_name
from qubes_manager.services.devices.devices import refuse_denied
from qubes_manager.services.devices.guest_release import GuestRelease
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.devices.served_devices import served, until_released
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_saved

log = logging.getLogger(__name__)
# Seconds after which libvirt has noted that a QEMU has ended, and between two looks.
_ENDING, _PAUSE = 5.0, 0.2


class BlockDevices:
    """The block devices of all connections, and image files that domains have as such."""

    klass = DeviceClass.BLOCK

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._release = GuestRelease(hosts)

    def warnings(self, _device: Device) -> list[str]:
        """Nothing: what the host uses is not given away at all."""
        return []

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise BadInput for an option that there is not, or a value that it cannot be."""
        request_of(BlockDevice("/image", kind=IMAGE), options)

    async def require(self, domain: Domain) -> None:
        """Nothing: a domain's disks are libvirt's to open."""

    async def give(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        """Attach a device by the options that commands have; see DeviceKind."""
        assert isinstance(device, BlockDevice)
        return await self.attach(key, request_of(device, options))

    async def attach_image(
        self, key: DomainKey, device: Device, options: Mapping[str, str], *, persistent: bool
    ) -> str:
        """Attach an image file, for later starts too where it is to be *persistent*; see ``attach``."""
        assert isinstance(device, BlockDevice)
        return await self.attach(key, request_of(device, options, persistent=persistent))

    async def take(self, holder: Holder, _device: Device, *, force: bool = False, progress: Progress = SILENT) -> str:
        """Detach it; see DeviceKind."""
        seen = next((disk for disk in holder.domain.config.disks if disk.target == holder.place), None)
        return await self.detach(holder.domain.key, holder.place, seen=seen, force=force, progress=progress)

    async def offered(self, uri: str) -> list[Offered]:
        """Return the host's block devices, and the image files that domains have as disks on a hot-plug bus."""
        devices = await list_block_devices(self._hosts.connection(uri))
        known = {device.path for device in devices}
        devices += [BlockDevice(path, kind="image") for path in sorted(self._attached_images(uri) - known)]
        if not devices:
            return []
        files = await self._uses.of_paths(uri, [device.path for device in devices])
        uses = await self._uses.known(uri)
        found = []
        for device in devices:
            users = [use for use in uses if files[device.path].is_in(use.files[:1])]
            found.append(Offered(device, tuple(pair for use in users if (pair := self._holder(use)))))
        return found

    async def find(self, uri: str, name: DeviceName) -> BlockDevice:
        """Return the device that *name* means, or the image; see DeviceKind."""
        if not name.is_path:
            try:
                listed = await list_block_devices(self._hosts.connection(uri))
                return require_one(listed, name, self.klass)
            except NotFound:
                if name.ident or name.port == ANY:
                    raise
        if name.is_image:
            return BlockDevice(name.port, kind=IMAGE)
        path = name.port if name.is_path else f"/dev/{name.port}"
        return await self._require_device(uri, path)

    async def held(self, domain: Domain) -> list[tuple[Device, Holder]]:
        """Return the disks of a domain, of whatever they are; see DeviceKind."""
        connection = self._hosts.connection(domain.key.connection)
        try:
            listed = {device.path: device for device in await list_block_devices(connection)}
        except QubesManagerError:
            # What is taken back need not be found.
            listed = {}
        found: list[tuple[Device, Holder]] = []
        for disk in domain.config.disks:
            if disk.kind in (DISK, LUN) and disk.source:
                kind = "disk" if disk.source.startswith("/dev/") else IMAGE
                device = listed.get(disk.source) or BlockDevice(disk.source, kind=kind)
                found.append((device, Holder(domain, disk.target)))
        return found

    def _holder(self, use: ImageUse) -> Holder | None:
        domain = self._store.get(use.key)
        disk = next((d for d in domain.config.disks if d.target == use.place), None) if domain else None
        return Holder(domain, disk.target) if domain and disk else None

    def _attached_images(self, uri: str) -> set[str]:
        """Image files among the domains' disks, save the volumes that the domains are made of."""
        return {
            disk.source
            for domain in self._store.of_host(uri)
            for disk in domain.config.disks
            if disk.source.startswith("/") and disk.kind == "disk" and disk.bus in ("usb", "scsi")
        }

    async def attach(self, key: DomainKey, request: DiskRequest) -> str:
        """Attach a block device or image file to a domain and return its target name there.

        Raises BadInput, NotFound, and Refused when the host or another domain uses the source, naming who, or when
        a qcow2 image needs another file.
        """
        domain = self._changeable(key)
        request.check()
        if not request.is_device:
            source = await asyncio.to_thread(lambda: Path(request.source).expanduser().absolute())
            request = replace(request, source=str(source))
        # Before anything looks into it.
        async with self._taken(domain, request):
            if request.is_device:
                target = await self._attach_device(domain, request)
            else:
                await asyncio.to_thread(check_attachable, Path(request.source), request.image_format)
                target = await self._attach(domain, request)
        await self._hosts.refresh(key)
        return target

    async def _attach_device(self, domain: Domain, request: DiskRequest) -> str:
        device = await self._check_device(domain, request)
        refuse_denied(domain, device)
        if not is_users(domain.key.connection):
            return await self._attach(domain, request)
        if request.is_lun:
            raise Refused(
                f"{device.path} takes no commands from domains here, which an ordinary user’s QEMU cannot give: burn "
                "discs in a domain of qemu:///system, or give it the drive’s whole USB device or controller"
            )
        if request.persistent or not domain.state.is_active:
            raise Refused(
                f"{device.path} is served to a domain only while that runs: start “{domain.name}” first; what it is to "
                "have at each start can be assigned to it (qvm-block assign)"
            )
        async with served(self._hosts, domain, device, read_only=request.read_only) as socket:
            return await self._attach(domain, replace(request, socket=socket))

    async def _attach(self, domain: Domain, request: DiskRequest) -> str:
        connection = self._hosts.connection(domain.key.connection)
        return await disks.attach_disk(connection, domain.key.uuid, domain.name, request)

    @asynccontextmanager
    async def _taken(self, domain: Domain, request: DiskRequest, *, drive: str = "") -> AsyncIterator[None]:
        """Let nobody else take the source of *request*, or what it stands on, while the block gives it to the domain.

        What *drive* of the domain has is on its way out. Raises Refused when a domain has it under whatever name.
        """
        uri = domain.key.connection
        files = await self._uses.of_layer(uri, Layer(request.source, format=request.image_format))
        async with AsyncExitStack() as locks:
            for name in sorted({file.identity for file in files}):
                await locks.enter_async_context(domain_lock(f"image {name}", request.source, shared=request.read_only))
            uses = [use for use in await self._uses.of_host(uri) if not (use.key == domain.key and use.place == drive)]
            refuse_if_held(uses, files, domain, request.source, writes=not request.read_only)
            yield

    async def _check_device(self, domain: Domain, request: DiskRequest) -> BlockDevice:
        device = await self._require_device(domain.key.connection, request.source)
        refuse_if_host_uses(device)
        if device.read_only and not request.read_only and not request.is_lun:
            raise Refused(f"{device.path} can only be read: attach it read-only")
        if not device.media and not request.is_lun:
            raise Refused(f"there is nothing in {device.path}: put a disc or card in and try again")
        if request.chosen and request.chosen != identity_of(device):
            raise Refused(f"{device.path} is another device by now: {device.description}")
        return device

    async def _require_device(self, uri: str, path: str) -> BlockDevice:
        device = await find_block_device(self._hosts.connection(uri), path)
        if device is None:
            raise NotFound(f"the host has no block device {path}")
        return device

    async def detach(
        self,
        key: DomainKey,
        target: str,
        timeout: float = disks.DETACH_TIMEOUT,
        *,
        seen: Disk | None = None,
        force: bool = False,
        progress: Progress = SILENT,
    ) -> str:
        """Detach a disk and return in a sentence what is so now.

        The guest unmounts it and writes what it has in memory first; *force* is without that. *seen* is the disk that
        is meant, where another one may have come in its place. Raises NotFound, Refused and TimedOut when the guest
        keeps it, and NotWritten when it is detached but the device has not all that was written.
        """
        domain = self._changeable(key)
        disk = seen or next((d for d in domain.config.disks if d.target == target), None)
        self._refuse_volume(domain, disk, target)
        is_written_to = disk and domain.state.is_active and disk.kind == DISK and not disk.read_only
        not_asked = ""
        if disk and is_written_to:
            forced = "it was taken by force"
            not_asked = forced if force else await self._release.release(domain, disk, progress)
        connection = self._hosts.connection(key.connection)
        sentence = f"“{domain.name}” does not have {target} any more."
        try:
            await disks.detach_disk(connection, key.uuid, domain.name, target, timeout, expected=disk)
        except (NotFound, HostCallFailed):
            # It has ended meanwhile, or somebody else was sooner; what it wrote is on its way all the same.
            if not (disk and disk.socket and await self._is_let_go(key, disk)):
                raise
        try:
            if disk and disk.socket:
                await until_released(disk, progress)
        except NotWritten as error:
            raise NotWritten(f"{sentence} But {error}") from error
        finally:
            await self._hosts.refresh(key)
        if not_asked:
            return f"{sentence} What it had not written yet, if anything, is lost: {not_asked}."
        return f"{sentence} It is safe to pull it out." if disk and disk.source.startswith("/dev/") else sentence

    async def _is_let_go(self, key: DomainKey, disk: Disk) -> bool:
        """Whether a domain has a disk no more, or will not have it in a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING):
                while True:
                    await self._hosts.refresh(key)
                    domain = self._store.get(key)
                    if domain is None or all(one.socket != disk.socket for one in domain.config.disks):
                        return True
                    # libvirt notes a little later that a QEMU has ended.
                    await asyncio.sleep(_PAUSE)
        return False

    def _refuse_volume(self, domain: Domain, disk: Disk | None, target: str) -> None:
        owners = filter(None, (domain, self._store.template_of(domain)))
        volumes = {v.name for owner in owners for v in owner.config.volumes}
        if disk and image_name(disk.source) in volumes:
            raise Refused(f"{target} is a volume that “{domain.name}” is made of; it cannot be detached")

    async def gone(self, key: DomainKey, socket: str, *, torn: bool = False) -> str:
        """A device that was served at *socket* is gone: take its disk from the domain; returns what was lost, in words.

        *torn*: it is there, and what served it has ended. Empty where the domain has let go of it already.
        """
        domain = self._store.require(key)
        disk = next((d for d in domain.config.disks if d.socket == socket), None)
        if disk is None or not domain.state.is_active:
            return ""
        connection = self._hosts.connection(key.connection)
        if disk.kind == "cdrom":
            await disks.change_medium(connection, key.uuid, domain.name, disk.target, "", False, live_only=True)
        else:
            await disks.detach_disk(connection, key.uuid, domain.name, disk.target, expected=disk)
        await self._hosts.refresh(key)
        title, how = "A device was taken out", "was taken out"
        if torn:
            title, how = "A device was lost", "is served no more, since its server was killed,"
        sentence = f"{disk.source} {how} while “{domain.name}” had it: what was not written to it yet is lost"
        log.warning("%s", sentence)
        await asyncio.to_thread(show_notice, title, sentence, urgent=True)
        return sentence

    async def insert(self, key: DomainKey, target: str, source: str) -> None:
        """Put an ISO image, or the disc in an optical drive of the host, into a CD-ROM drive of the domain."""
        domain = self._changeable(key)
        is_device = source.startswith("/dev/")
        if not is_device:
            source = str(await asyncio.to_thread(check_readable, Path(source)))
        connection = self._hosts.connection(key.connection)
        async with self._taken(domain, DiskRequest(source, is_device, read_only=True), drive=target):
            device = await self._require_device(key.connection, source) if is_device else None
            if device:
                refuse_denied(domain, device)
            is_served = device is not None and is_users(key.connection)
            # A disc that the desktop has mounted can be read by both, where both may open it; any other device changes
            # below the reader.
            if device and (is_served or device.kind != OPTICAL_DRIVE):
                refuse_if_host_uses(device)
            if device and is_served:
                async with served(self._hosts, domain, device, read_only=True) as socket:
                    await disks.change_medium(connection, key.uuid, domain.name, target, source, True, socket)
            else:
                await disks.change_medium(connection, key.uuid, domain.name, target, source, is_device)
        await self._hosts.refresh(key)

    async def eject(self, key: DomainKey, target: str) -> None:
        """Take the disc out of a CD-ROM drive of the domain."""
        connection = self._hosts.connection(key.connection)
        await disks.change_medium(connection, key.uuid, self._changeable(key).name, target, "", False)
        await self._hosts.refresh(key)

    def _changeable(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine; its devices are its own")
        refuse_saved(domain)
        return domain
