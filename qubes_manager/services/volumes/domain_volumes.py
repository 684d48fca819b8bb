"""A domain's volumes: listing, enlarging, checking, taking out and putting in."""

import asyncio
import contextlib
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import block_resize, volume_store, volume_streams
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.creation_request import check_volume_size
from qubes_manager.core.domain import Activity, Domain, DomainKey
from qubes_manager.core.errors import BadInput, NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.sizes import format_size
from qubes_manager.core.volumes import MAX_KEEP, OwnVolume, Role, revisions, volume_name
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_saved
from qubes_manager.services.volumes.image_import import ready_image
from qubes_manager.services.volumes.raw_volumes import copy_as_qcow2, writable_raw
from qubes_manager.services.volumes.template_roots import TemplateRoots
from qubes_manager.services.volumes.volume_records import drop, put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit

# Names by which users call volumes; a template's AppVMs show their template's root as theirs.
NAMED = {"root": Role.ROOT, "private": Role.PRIVATE, "kernel": Role.KERNEL, "initrd": Role.INITRD}
# Makes the guest's file system as large as its disk; both fail harmlessly where there is nothing to do.
_GROW = {Role.PRIVATE: "resize2fs /dev/disk/by-id/virtio-private", Role.ROOT: "resize2fs /dev/vda"}


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    """A volume that a domain has, or in *source* takes from its template. Sizes in bytes, None when it is gone."""

    domain: str
    role: Role
    record: OwnVolume
    sizes: volume_store.VolumeSizes | None
    source: str = ""
    revisions: tuple[int, ...] = ()

    @property
    def vid(self) -> str:
        """How commands call it."""
        return f"{self.domain}:{self.role.value}"


RunInGuest = Callable[[DomainKey, str], Awaitable[object]]


class DomainVolumes:
    """Looks after the volumes of domains; *run_as_root* runs a shell line in a guest that runs."""

    def __init__(
        self, hosts: Hosts, store: DomainStore, uses: ImageUses, roots: TemplateRoots, run_as_root: RunInGuest
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._roots = roots
        self._run_as_root = run_as_root

    async def list(self, domain: Domain) -> list[VolumeInfo]:
        """Return what a domain's disks are made of: its own current volumes, and its template's root."""
        config = domain.config
        template = self._store.template_of(domain)
        found = []
        for role in NAMED.values():
            if record := config.volume(role):
                numbers = tuple(v.revision for v in revisions(config.volumes)) if record.revision else ()
                found.append(VolumeInfo(domain.name, role, record, await self._sizes(domain, record), "", numbers))
            elif role is Role.ROOT and template and (record := template.config.volume(role)):
                sizes = await self._sizes(domain, record)
                found.append(VolumeInfo(domain.name, role, record, sizes, f"{template.name}:root"))
        return found

    def own(self, domain: Domain, name: str) -> OwnVolume:
        """Return a domain's own volume by the name that users have for it; raises BadInput, NotFound, Refused."""
        if name not in NAMED:
            raise BadInput("volume", name[:80], f"use one of {', '.join(NAMED)}")
        if record := domain.config.volume(NAMED[name]):
            return record
        if name == "root" and (template := self._store.template_of(domain)):
            raise Refused(f"the root of “{domain.name}” is that of its template “{template.name}”: change it there")
        raise NotFound(f"“{domain.name}” has no volume {name} that this program made")

    async def _sizes(self, domain: Domain, record: OwnVolume) -> volume_store.VolumeSizes | None:
        return await volume_store.volume_sizes(self._hosts.connection(domain.key.connection), record.pool, record.name)

    # Changing.

    async def resize(self, key: DomainKey, name: str, size: int) -> None:
        """Enlarge a volume to *size* bytes, while the domain runs too; raises BadInput for less than it has."""
        check_volume_size(size, "size")
        domain = self._store.require(key)
        record = self.own(domain, name)
        if NAMED[name] not in (Role.ROOT, Role.PRIVATE):
            raise BadInput("volume", name, "only root and private can be enlarged")
        async with domain_lock(key.uuid, domain.name):
            domain = await self._uses.require_own_disks(key)
            refuse_saved(domain)
            record = self.own(domain, name)
            sizes = await self._sizes(domain, record)
            if sizes is None:
                raise NotFound(f"the volume “{record.name}” is gone")
            if size < sizes.capacity:
                has = format_size(sizes.capacity)
                raise BadInput("size", format_size(size), f"“{domain.name}:{name}” has {has}; volumes never shrink")
            if record.revision and not domain.state.is_active:
                # A larger revision above the current one, which domains may be running from.
                await self._roots.enlarge(domain, size)
            elif domain.state.is_active:
                await self._resize_live(domain, record, size)
            else:
                # What stands on it, or runs with it, would meet other bytes than it knows.
                await self._uses.refuse_others(key, [record])
                connection = self._hosts.connection(key.connection)
                await volume_store.resize_volume(connection, record.pool, record.name, size)
        await self._hosts.refresh(key)

    async def _resize_live(self, domain: Domain, record: OwnVolume, size: int) -> None:
        role = record.role
        disk = domain.config.disk(role)
        if disk is None:
            raise _no_disk(domain, role)
        if not record.revision:
            # A template runs on its trial, which is nobody else's.
            await self._uses.refuse_others(domain.key, [record])
        connection = self._hosts.connection(domain.key.connection)
        await block_resize.resize_live(connection, domain.key.uuid, domain.name, disk.target, size)
        # Without an agent the guest makes use of the room at its next start.
        with contextlib.suppress(QubesManagerError):
            await self._run_as_root(domain.key, _GROW[role])

    async def keep(self, key: DomainKey, count: int) -> None:
        """Set how many revisions of its root a template keeps."""
        if not 1 <= count <= MAX_KEEP:
            raise BadInput("revisions_to_keep", str(count), f"give 1 to {MAX_KEEP}")
        actions = actions_on(self._hosts, await self._uses.require_own_disks(key))
        await actions.edit_config(lambda document: document.metadata().set_number("keep_revisions", count))
        await self._hosts.refresh(key)

    async def clear(self, key: DomainKey, name: str) -> None:
        """Make a halted domain's private volume blank; all its data are lost."""
        domain = self._store.require_halted(key)
        record = self.own(domain, name)
        if NAMED[name] is not Role.PRIVATE:
            raise BadInput("volume", name, "only the private volume can be cleared")
        sizes = await self._sizes(domain, record)
        await self._replace(domain, record, lambda new: self._blank(domain, new, sizes.capacity if sizes else 0))

    async def import_image(
        self, key: DomainKey, name: str, source: Path, *, limit: int = 0, progress: Progress = SILENT
    ) -> None:
        """Put a disk image in place of a halted domain's volume, whose data are lost.

        A packed one is unpacked to at most *limit* bytes, 0 for as many as are free.
        """
        domain = self._store.require_halted(key)
        record = self.own(domain, name)
        if record.revision or NAMED[name] not in (Role.ROOT, Role.PRIVATE):
            raise Refused("only the private volume, or the root of a StandaloneVM, can be replaced by an image")
        # Before a long copy; and again when the volume is put in its place.
        await self._uses.require_own_disks(key)
        await self._uses.refuse_source(await asyncio.to_thread(lambda: source.expanduser().absolute()), moved=False)
        async with ready_image(source, limit=limit, progress=progress) as ready:
            connection = self._hosts.connection(key.connection)

            async def upload(new: OwnVolume) -> volume_store.Volume:
                progress.step("Copying the image")
                made, _digest = await volume_streams.upload_volume(
                    connection, new.name, ready.file, pool=new.pool, progress=progress
                )
                return made

            await self._replace(domain, record, upload)

    async def to_qcow2(self, key: DomainKey, *, progress: Progress = SILENT) -> None:
        """Make qcow2 of the raw volumes that a halted domain writes to, which earlier versions made; data stay.

        Raises Refused when the domain is started meanwhile, and QubesManagerError; it has what it had then.
        """
        connection = self._hosts.connection(key.connection)
        for old in writable_raw(self._store.require_halted(key)):

            async def convert(new: OwnVolume, old: OwnVolume = old) -> volume_store.Volume:
                before = await volume_store.last_write(connection, old)
                made = await copy_as_qcow2(connection, old, new.name, new.pool, progress)
                await volume_store.require_unwritten(connection, old, before)
                return made

            progress.step("Converting the volume")
            await self._replace(self._store.require_halted(key), old, convert)

    async def _blank(self, domain: Domain, new: OwnVolume, size: int) -> volume_store.Volume:
        connection = self._hosts.connection(domain.key.connection)
        return await volume_store.create_volume(connection, new.name, size, pool=new.pool)

    async def _replace(self, domain: Domain, old: OwnVolume, make: Callable[[OwnVolume], object]) -> None:
        """Put a new volume in the place of *old*: the old one is there until the new one is whole."""
        key, actions = domain.key, actions_on(self._hosts, domain)
        if any(disk.encrypted for disk in domain.config.disks):
            raise Refused(f"the private volume of “{domain.name}” is encrypted; it cannot be replaced")
        ending = f"{secrets.token_hex(2)}.qcow2"
        name = volume_name(domain.name, key.uuid, old.role, ending)
        new = OwnVolume(old.role, old.pool, name, unfinished=True)
        connection = self._hosts.connection(key.connection)
        with self._store.activity(key, Activity.COPYING):
            async with domain_lock(key.uuid, domain.name):
                await self._uses.require_own_disks(key)
                if not self._store.require_halted(key).config.disk(old.role):
                    raise _no_disk(domain, old.role)
                await self._uses.refuse_others(key, [old])
                await actions.edit_config(put(new))
                try:
                    made: volume_store.Volume = await make(new)  # type: ignore[misc]
                    # Who started it meanwhile writes to the old one.
                    await self._hosts.refresh(key)
                    self._store.require_halted(key)
                except BaseException:
                    await asyncio.shield(volume_store.delete_volume(connection, new.pool, new.name))
                    await asyncio.shield(actions.edit_config(drop([new.name])))
                    raise

                def swap(document: "DomainEdit") -> None:
                    put(replace(new, unfinished=False), replace(old, unfinished=True))(document)
                    if disk := document.config.disk(old.role):
                        document.set_disk_source(disk.target, made.path, new.format)

                await actions.edit_config(swap)
                # Somebody may have begun to use it meanwhile: then it stays, and goes when nobody does any more.
                if not await self._uses.of_anyone(key.connection, [old]):
                    await volume_store.delete_volume(connection, old.pool, old.name)
                    await actions.edit_config(drop([old.name]))
        await self._hosts.refresh(key)

    # Reading.

    async def verify(self, domain: Domain, record: OwnVolume, *, progress: Progress = SILENT) -> str:
        """Read a volume again and compare it with the digest from when it was made; returns the digest.

        Raises Refused when they differ, or when there is none: a volume that is written to has none.
        """
        if not record.digest:
            raise Refused(f"there is no checksum for {record.name}: its content has changed since it was made, rightly")
        connection = self._hosts.connection(domain.key.connection)
        progress.step("Reading the volume")
        found = await volume_streams.read_volume(
            connection, record.pool, record.name, lambda _data: None, progress=progress
        )
        if not hmac.compare_digest(found, record.digest):
            raise Refused(
                f"{record.name} has changed since it was made: expected {record.digest}, found {found}. "
                "Something wrote to it behind this program’s back; do not trust domains that start from it"
            )
        return found

    async def export(self, key: DomainKey, name: str, target: Path, *, progress: Progress = SILENT) -> str:
        """Write a halted domain's volume to an image file, its SHA-256 to one beside it; returns the digest.

        A volume that stands on others is made whole first. Raises Refused, NotFound, Cancelled.
        """
        domain = self._store.require_halted(key)
        record = self.own(domain, name)
        connection, actions = self._hosts.connection(key.connection), actions_on(self._hosts, domain)
        target = await asyncio.to_thread(lambda: target.expanduser().absolute())
        for path in (target, _sums(target)):
            if await asyncio.to_thread(os.path.lexists, path):
                raise _taken(path)
        with self._store.activity(key, Activity.COPYING):
            async with domain_lock(key.uuid, domain.name):
                domain = await self._uses.require_own_disks(key)
                self._store.require_halted(key)
                record = self.own(domain, name)
                await self._uses.refuse_writers(key, [record])
                whole = record
                if record.backing:
                    ending = f"export-{secrets.token_hex(2)}.qcow2"
                    number = 1 + max(v.revision for v in domain.config.volumes)
                    new = volume_name(domain.name, key.uuid, record.role, ending)
                    whole = OwnVolume(record.role, record.pool, new, number, unfinished=True)
                    progress.step("Making the volume whole")
                    await actions.edit_config(put(whole))
                try:
                    if whole is not record:
                        await volume_store.copy_volume(connection, record, whole.name)
                    digest = await self._write(domain, whole, target, progress)
                finally:
                    if whole is not record:
                        await asyncio.shield(volume_store.delete_volume(connection, whole.pool, whole.name))
                        await asyncio.shield(actions.edit_config(drop([whole.name])))
        await self._hosts.refresh(key)
        return digest

    async def _write(self, domain: Domain, record: OwnVolume, target: Path, progress: Progress) -> str:
        connection = self._hosts.connection(domain.key.connection)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        before = await volume_store.last_write(connection, record)
        try:
            with await asyncio.to_thread(part.open, "xb") as file:
                progress.step("Writing the image")
                digest = await volume_streams.read_volume(
                    connection, record.pool, record.name, file.write, progress=progress
                )
                await asyncio.to_thread(_sync, file)
            await volume_store.require_unwritten(connection, record, before)
            await asyncio.to_thread(_name, part, target)
            with await asyncio.to_thread(_sums(target).open, "x") as sums:
                sums.write(f"{digest}  {target.name}\n")
        except OSError as error:
            raise QubesManagerError(f"cannot write “{target}”: {error.strerror}") from error
        finally:
            await asyncio.shield(asyncio.to_thread(part.unlink, missing_ok=True))
        return digest


def _sums(image: Path) -> Path:
    return image.with_name(f"{image.name}.sha256")


def _taken(path: Path) -> Refused:
    return Refused(f"“{path}” exists already; choose another name")


def _name(part: Path, target: Path) -> None:
    """Let a file that is whole have its name too; raises Refused where somebody has put another there meanwhile."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise _taken(target) from None
    except OSError:
        # A file system without links.
        if os.path.lexists(target):
            raise _taken(target) from None
        part.rename(target)


def _no_disk(domain: Domain, role: Role) -> NotFound:
    return NotFound(f"“{domain.name}” has no disk for its {role.value} volume")


def _sync(file) -> None:  # type: ignore[no-untyped-def]
    file.flush()
    os.fsync(file.fileno())
