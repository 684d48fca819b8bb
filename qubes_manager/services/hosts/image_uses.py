"""What the domains of a host have as their disks, down to the files, whoever made them."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from qubes_manager.backend.domains.domain_reader import read_stored_configs
from qubes_manager.backend.domains.metadata import NAMESPACE
from qubes_manager.backend.host.daemon_paths import is_on_this_machine
from qubes_manager.backend.storage.image_chain import ImageChains
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import Refused, UnknownDisk
from qubes_manager.core.hardware import Disk, Layer
from qubes_manager.core.image_use import ImageFile, ImageUse, refuse_other_disk, used
from qubes_manager.core.volume_use import TRANSIENT, are_known, image_name
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.shared_reading import SharedReading
from qubes_manager.services.hosts.store import DomainStore

T = TypeVar("T")
# Seconds for the files of all domains of a host; one of them may be on a network file system that is slow.
_TIMEOUT = 120.0
_BOOT = ("kernel", "initrd")


class ImageUses:
    """Says who uses an image, and whether domains' disks are still the volumes that were made for them."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store
        self._readings: dict[str, SharedReading[list[ImageUse]]] = {}

    async def of_host(self, uri: str) -> list[ImageUse]:
        """Return all that the domains of a connection use, now and at their next start.

        All XML is read again: libvirt has no event for a snapshot or for a disk of the next start.
        Raises Refused where some XML cannot be read: what it uses is not known.
        """
        reading = self._readings.setdefault(uri, SharedReading(lambda: self._read_anew(uri)))
        return await reading.get()

    async def _read_anew(self, uri: str) -> list[ImageUse]:
        await self._hosts.refresh_host(uri)
        return await self._read(uri)

    async def _read(self, uri: str) -> list[ImageUse]:
        domains = self._domains(uri)
        if not are_known(domains):
            unread = ", ".join(d.name for d in domains if not d.is_read)
            raise Refused(f"what {unread} uses has not been read; try again")
        going_on = [d.key.uuid for d in domains if not d.state.is_over]
        stored = await read_stored_configs(self._hosts.connection(uri), going_on) if going_on else {}
        pairs = [(domain, domain.config) for domain in domains]
        pairs += [(domain, stored[domain.key.uuid]) for domain in domains if domain.key.uuid in stored]
        return await self._with_chains(uri, lambda chains: [u for d, config in pairs for u in _uses(d, config, chains)])

    async def known(self, uri: str) -> list[ImageUse]:
        """Return what the domains of a connection use as far as it has been read, for a list of devices."""
        domains = [d for d in self._domains(uri) if d.is_read]
        return await self._with_chains(uri, lambda chains: [u for d in domains for u in _uses(d, d.config, chains)])

    def _domains(self, uri: str) -> list[Domain]:
        return [d for d in self._store.of_host(uri) if not d.is_host]

    async def of_volumes(self, uri: str, volumes: Iterable[OwnVolume]) -> dict[str, ImageFile]:
        """Return the files of volumes by name, without those that are gone; raises NotFound, HostCallFailed."""
        wanted = list(volumes)
        return await self._with_chains(uri, lambda chains: chains.of_volumes(wanted))

    async def of_layer(self, uri: str, layer: Layer) -> tuple[ImageFile, ...]:
        """Return the file of *layer*, and what it stands on; that of a raw image is itself."""
        return await self._with_chains(uri, lambda chains: chains.of_disk([layer]))

    async def of_paths(self, uri: str, paths: Iterable[str]) -> dict[str, ImageFile]:
        """Return the files at *paths*, without what they stand on."""
        wanted = list(paths)
        return await self._with_chains(uri, lambda chains: {path: chains.file(Layer(path)) for path in wanted})

    async def of_others(self, key: DomainKey, volumes: Iterable[OwnVolume]) -> dict[str, ImageUse]:
        """Return those of a domain's *volumes* that other domains use or stand on, by name, with one who does."""
        return await self._users(key.connection, volumes, lambda use: use.key != key)

    async def of_anyone(self, uri: str, volumes: Iterable[OwnVolume]) -> dict[str, ImageUse]:
        """Return those of *volumes* that some domain uses or stands on, by name, with one who does."""
        return await self._users(uri, volumes, lambda _use: True)

    async def refuse_others(self, key: DomainKey, volumes: Iterable[OwnVolume]) -> None:
        """Raise Refused when other domains use some of a domain's *volumes* or stand on them, naming one."""
        for name, user in (await self.of_others(key, volumes)).items():
            raise Refused(f"{name} is not free: {user.words}; detach it there first")

    async def refuse_source(self, path: Path, *, moved: bool) -> None:
        """Raise Refused when a domain writes to an image of this machine that is to be copied, or *moved* away.

        A copy of it would be torn; one that is moved is deleted, so that nobody may have it or stand on it.
        """
        for uri in filter(is_on_this_machine, self._hosts.uris):
            files = await self.of_layer(uri, Layer(str(path), format="raw"))
            for use in await self.of_host(uri):
                writes = use.active and use.writes and files[0].is_in(use.files[:1])
                if writes or (moved and files[0].is_in(use.files)):
                    raise Refused(f"“{path}”: {use.words}; shut that down, or take a copy of the image")

    async def refuse_writers(self, key: DomainKey, volumes: Iterable[OwnVolume]) -> None:
        """Raise Refused when another domain that runs writes to some of a domain's *volumes*: a copy would be torn."""
        wanted = list(volumes)
        files = await self.of_volumes(key.connection, wanted)
        others = [use for use in await self.of_host(key.connection) if use.key != key]
        writers = [replace(use, files=use.files[:1]) for use in others if use.active and use.writes]
        for name, user in used(wanted, files, writers).items():
            raise Refused(f"{name} changes while it is read: “{user.domain}” writes to it: shut that down first")

    async def _users(
        self, uri: str, volumes: Iterable[OwnVolume], counts: Callable[[ImageUse], bool]
    ) -> dict[str, ImageUse]:
        wanted = list(volumes)
        files = await self.of_volumes(uri, wanted)
        return used(wanted, files, filter(counts, await self.of_host(uri))) if files else {}

    async def require_own_disks(self, key: DomainKey) -> Domain:
        """Return the domain as it is now, when its disks are the volumes that are recorded for them.

        Raises UnknownDisk, naming the image that another program gave it instead.
        """
        await self._hosts.refresh(key)
        domain = self._store.require(key)
        expected = _expected(domain.config)
        if expected:
            try:
                await self._with_chains(key.connection, lambda chains: _compare(domain, expected, chains))
            except UnknownDisk:
                self._refuse_copied_record(domain)
                raise
        return domain

    def _refuse_copied_record(self, domain: Domain) -> None:
        """Raise UnknownDisk for a copy by a program that took our record along with all else, as virt-clone does."""
        names = {v.name for v in domain.config.volumes}
        for other in self._domains(domain.key.connection):
            shared = names & {v.name for v in other.config.volumes} & {image_name(d.source) for d in other.config.disks}
            if other.key != domain.key and shared:
                raise UnknownDisk(
                    f"“{domain.name}” is a copy of “{other.name}” that another program made, with the record of "
                    f"{', '.join(sorted(shared))}, which “{other.name}” has: take that record away (virsh metadata "
                    f"{shlex.quote(domain.name)} {NAMESPACE} --remove --config), and it is like any that others made"
                )

    async def _with_chains(self, uri: str, read: Callable[[ImageChains], T]) -> T:
        connection = self._hosts.connection(uri)

        return await connection.call(
            "see which images are used", lambda raw: read(ImageChains(raw, uri)), timeout=_TIMEOUT
        )


def _uses(domain: Domain, config: DomainConfig, chains: ImageChains) -> list[ImageUse]:
    has_template = bool(config.template_uuid) and domain.state.is_over
    system = config.disk(Role.ROOT) if has_template else None
    found = []
    for disk in config.disks:
        if disk.source:
            files = chains.of_disk(disk.layers, ends=disk.backing_ends)
            writes = not (disk.read_only or disk.transient)
            use = ImageUse(domain.key, domain.name, disk.target, files, domain.state.is_active, writes, disk is system)
            found.append(use)
    for place in _BOOT:
        if path := getattr(config, place):
            files = chains.of_disk([Layer(path, format="raw")], ends=True)
            found.append(ImageUse(domain.key, domain.name, place, files, domain.state.is_active, False, has_template))
    return found


def _expected(config: DomainConfig) -> list[tuple[Disk, list[OwnVolume]]]:
    """The disks that are volumes of the domain's own, each with those that it may be: a template's any of its roots."""
    found = []
    for role, also in ((Role.ROOT, Role.BASE), (Role.PRIVATE, Role.PRIVATE)):
        disk = config.disk(role)
        volumes = [v for v in config.volumes if v.role in (role, also)]
        if disk and disk.source and any(v.role is role for v in volumes):
            found.append((disk, volumes))
    return found


def _compare(domain: Domain, expected: Sequence[tuple[Disk, list[OwnVolume]]], chains: ImageChains) -> None:
    for disk, volumes in expected:
        found = chains.of_disk(disk.layers, ends=disk.backing_ends)
        if disk.transient:
            # libvirt puts a layer above while it runs, and takes it away.
            found = tuple(file for file in found if TRANSIENT not in file.path)
        refuse_other_disk(domain.name, disk, volumes, chains.of_volumes(volumes), found)
