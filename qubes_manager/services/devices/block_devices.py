"""Handing the host's block devices and disk images to domains. Nothing is attached by itself."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from qubes_manager.backend.domains import disks
from qubes_manager.backend.host.node_devices import list_block_devices
from qubes_manager.backend.storage.images import check_readable, inspect_image
from qubes_manager.core.devices import (
    BlockDevice,
    DiskRequest,
    holders,
    refuse_if_held,
    refuse_if_host_uses,
)
from qubes_manager.core.domain import Disk, Domain, DomainKey
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


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

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store

    async def offered(self, uri: str) -> list[OfferedDevice]:
        """Return the host's block devices, and the image files that domains have as disks on a hot-plug bus."""
        devices = await list_block_devices(self._hosts.connection(uri))
        domains = self._store.of_host(uri)
        found = [OfferedDevice(device, tuple(holders(domains, [device.path]))) for device in devices]
        known = {device.path for device in devices}
        for path in sorted(self._attached_images(domains) - known):
            found.append(OfferedDevice(BlockDevice(path, kind="image"), tuple(holders(domains, [path]))))
        return found

    @staticmethod
    def _attached_images(domains: list[Domain]) -> set[str]:
        """Image files among the domains' disks, save the volumes that the domains are made of."""
        return {
            disk.source
            for domain in domains
            for disk in domain.config.disks
            if disk.source.startswith("/") and disk.kind == "disk" and disk.bus in ("usb", "scsi")
        }

    async def attach(self, key: DomainKey, request: DiskRequest) -> str:
        """Attach a block device or image file to a domain and return its target name there.

        Raises BadInput, NotFound, and Refused when the host or another domain uses the source, naming who.
        """
        domain = self._domain(key)
        request.check()
        if request.is_device:
            await self._check_device(domain, request)
        else:
            image = await asyncio.to_thread(inspect_image, Path(request.source))
            request = replace(request, source=str(image.path), image_format=image.format)
        real = await asyncio.to_thread(_real_path, request.source)
        held = holders(self._store.of_host(key.connection), [request.source, real])
        refuse_if_held(held, domain, request.source, request.read_only)
        connection = self._hosts.connection(key.connection)
        target = await disks.attach_disk(connection, key.uuid, domain.name, request)
        await self._hosts.refresh(key)
        return target

    async def _check_device(self, domain: Domain, request: DiskRequest) -> None:
        devices = await list_block_devices(self._hosts.connection(domain.key.connection))
        for device in devices:
            if device.path == request.source:
                refuse_if_host_uses(device)
                if device.read_only and not request.read_only:
                    raise Refused(f"{device.path} can only be read: attach it read-only")
                return
        raise NotFound(f"the host has no block device {request.source}")

    async def detach(self, key: DomainKey, target: str, timeout: float = disks.DETACH_TIMEOUT) -> None:
        """Detach a disk; raises NotFound, or TimedOut and Refused when the guest keeps it."""
        domain = self._domain(key)
        disk = next((d for d in domain.config.disks if d.target == target), None)
        volumes = {v.name for v in domain.config.volumes}
        if disk and disk.source.rsplit("/", 1)[-1] in volumes:
            raise Refused(f"{target} is a volume that “{domain.name}” is made of; it cannot be detached")
        connection = self._hosts.connection(key.connection)
        await disks.detach_disk(connection, key.uuid, domain.name, target, timeout)
        await self._hosts.refresh(key)

    async def insert(self, key: DomainKey, target: str, source: str) -> None:
        """Put an ISO image, or the disc in an optical drive of the host, into a CD-ROM drive of the domain."""
        domain = self._domain(key)
        is_device = source.startswith("/dev/")
        if not is_device:
            source = str(await asyncio.to_thread(check_readable, Path(source)))
        connection = self._hosts.connection(key.connection)
        await disks.change_medium(connection, key.uuid, domain.name, target, source, is_device)
        await self._hosts.refresh(key)

    async def eject(self, key: DomainKey, target: str) -> None:
        """Take the disc out of a CD-ROM drive of the domain."""
        connection = self._hosts.connection(key.connection)
        await disks.change_medium(connection, key.uuid, self._domain(key).name, target, "", False)
        await self._hosts.refresh(key)

    def _domain(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine; its devices are its own")
        return domain


def _real_path(path: str) -> str:
    """The device or file behind links such as /dev/disk/by-id/…"""
    return str(Path(path).resolve())
