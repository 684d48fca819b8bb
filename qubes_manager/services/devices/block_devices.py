"""Handing the host's block devices and disk images to domains. Nothing is attached by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from qubes_manager.backend.domains import disks
from qubes_manager.backend.host.node_devices import find_block_device, list_block_devices
from qubes_manager.backend.storage.images import check_attachable, check_readable
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.devices import OPTICAL_DRIVE, BlockDevice, DiskRequest, refuse_if_held, refuse_if_host_uses
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.core.hardware import Disk, Layer
from qubes_manager.core.image_use import ImageUse
from qubes_manager.core.volume_use import image_name
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_saved


@dataclass(frozen=True, slots=True)
class OfferedDevice:
    """A block device or image with the domains that have it."""

    device: BlockDevice
    holders: tuple[tuple[Domain, Disk], ...] = ()

    @property
    def used_by(self) -> str:
        """Who has it, in words; empty when it is free."""
        names = [f"{domain.name} ({disk.target})" for domain, disk in self.holders]
        return ", ".join([self.device.in_use, *names] if self.device.in_use else names)


class BlockDevices:
    """The block devices of all connections."""

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses

    async def offered(self, uri: str) -> list[OfferedDevice]:
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
            found.append(OfferedDevice(device, tuple(pair for use in users if (pair := self._holder(use)))))
        return found

    def _holder(self, use: ImageUse) -> tuple[Domain, Disk] | None:
        domain = self._store.get(use.key)
        disk = next((d for d in domain.config.disks if d.target == use.place), None) if domain else None
        return (domain, disk) if domain and disk else None

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
                await self._check_device(domain, request)
            else:
                await asyncio.to_thread(check_attachable, Path(request.source), request.image_format)
            connection = self._hosts.connection(key.connection)
            target = await disks.attach_disk(connection, key.uuid, domain.name, request)
        await self._hosts.refresh(key)
        return target

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

    async def _check_device(self, domain: Domain, request: DiskRequest) -> None:
        device = await self._require_device(domain, request.source)
        refuse_if_host_uses(device)
        if device.read_only and not request.read_only:
            raise Refused(f"{device.path} can only be read: attach it read-only")

    async def _require_device(self, domain: Domain, path: str) -> BlockDevice:
        device = await find_block_device(self._hosts.connection(domain.key.connection), path)
        if device is None:
            raise NotFound(f"the host has no block device {path}")
        return device

    async def detach(self, key: DomainKey, target: str, timeout: float = disks.DETACH_TIMEOUT) -> None:
        """Detach a disk; raises NotFound, or TimedOut and Refused when the guest keeps it."""
        domain = self._changeable(key)
        disk = next((d for d in domain.config.disks if d.target == target), None)
        owners = filter(None, (domain, self._store.template_of(domain)))
        volumes = {v.name for owner in owners for v in owner.config.volumes}
        if disk and image_name(disk.source) in volumes:
            raise Refused(f"{target} is a volume that “{domain.name}” is made of; it cannot be detached")
        connection = self._hosts.connection(key.connection)
        await disks.detach_disk(connection, key.uuid, domain.name, target, timeout)
        await self._hosts.refresh(key)

    async def insert(self, key: DomainKey, target: str, source: str) -> None:
        """Put an ISO image, or the disc in an optical drive of the host, into a CD-ROM drive of the domain."""
        domain = self._changeable(key)
        is_device = source.startswith("/dev/")
        if not is_device:
            source = str(await asyncio.to_thread(check_readable, Path(source)))
        async with self._taken(domain, DiskRequest(source, is_device, read_only=True), drive=target):
            # A disc that the desktop has mounted can be read by both; any other device changes below the reader.
            if is_device and (device := await self._require_device(domain, source)).kind != OPTICAL_DRIVE:
                refuse_if_host_uses(device)
            connection = self._hosts.connection(key.connection)
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
