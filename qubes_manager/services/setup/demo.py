"""Three small domains to try the program with: real QEMU guests that start in seconds."""

import asyncio
import contextlib
from pathlib import Path
from uuid import uuid4

from qubes_manager.backend.domains.domain_actions import define
from qubes_manager.backend.domains.domain_xml import EMULATION_WORDS
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.guests.tiny_guest import TinyGuest, build_tiny_guest
from qubes_manager.backend.storage import volume_store, volume_streams
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.labels import LABELS
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.domains.removal import Removal
from qubes_manager.services.files.host_paths import console_log_path
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.hosts.virt_types import VirtTypes

DEMO_TAG = "demo"
DEMO_LABELS = {"work": "blue", "personal": "yellow", "untrusted": "red"}
_MEMORY_MIB = 256
# No timer check and no mitigations: in software emulation they cost seconds of a start.
_CMDLINE = f"console=ttyS0 quiet panic=-1 {EMULATION_WORDS}"


class Demo:
    """Makes and removes the demo domains of one connection; the guest that they boot is kept in *cache*."""

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        uses: ImageUses,
        removal: Removal,
        virt_types: VirtTypes,
        cache: Path,
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._removal = removal
        self._virt_types = virt_types
        self._cache = cache

    def domains(self, uri: str) -> list[Domain]:
        """The demo domains that are there."""
        return [d for d in self._store.of_host(uri) if DEMO_TAG in d.config.tags]

    async def create(self, uri: str, progress: Progress = SILENT) -> list[DomainKey]:
        """Make those of work, personal, untrusted that are missing; raises NotFound, Cancelled, QubesManagerError."""
        taken = {domain.name for domain in self._store.of_host(uri)}
        missing = [name for name in DEMO_LABELS if name not in taken]
        if not missing:
            return []
        guest = await asyncio.to_thread(build_tiny_guest, self._cache, progress)
        return [await self.create_one(uri, guest, name, DEMO_LABELS[name]) for name in missing]

    async def create_one(
        self, uri: str, guest: TinyGuest, name: str, label: str, tags: frozenset[str] = frozenset({DEMO_TAG})
    ) -> DomainKey:
        """Make one domain that boots the tiny guest."""
        connection = self._hosts.connection(uri)
        await volume_store.ensure_pool(connection)
        kernel, initrd = [await self._boot_file(uri, guest, path) for path in (guest.kernel, guest.initrd)]
        own = str(uuid4())
        new = NewDomain(
            name=name,
            uuid=own,
            config=DomainConfig(label=LABELS[label], tags=tags, notes="A small demo guest."),
            memory=_MEMORY_MIB,
            vcpus=1,
            virt_type=await self._virt_types.best(uri, kernel.path),
            console_log=await asyncio.to_thread(console_log_path, uri, own),
            kernel=kernel.path,
            initrd=initrd.path,
            cmdline=_CMDLINE,
            graphics=False,
        )
        key = DomainKey(uri, await define(connection, name, new.xml()))
        await self._hosts.refresh(key)
        return key

    async def _boot_file(self, uri: str, guest: TinyGuest, path: Path) -> volume_store.Volume:
        connection = self._hosts.connection(uri)
        name = _volume_name(guest.digest, path.name)
        found = await volume_store.find_volume(connection, volume_store.POOL, name)
        return found or (await volume_streams.upload_volume(connection, name, path))[0]

    async def remove(self, uri: str) -> list[str]:
        """End and remove the demo domains and their boot files; returns the domains' names."""
        names = []
        connection = self._hosts.connection(uri)
        for domain in self.domains(uri):
            if domain.state.is_active:
                await actions_on(self._hosts, domain).kill()
                await self._hosts.refresh(domain.key)
            await self._removal.remove(domain.key)
            names.append(domain.name)
        found = await volume_store.volume_names(connection, volume_store.POOL)
        boot = [OwnVolume(Role.KERNEL, volume_store.POOL, name) for name in found if name.startswith(_VOLUME_PREFIX)]
        with contextlib.suppress(QubesManagerError):
            # A copy of one of them boots the same files.
            used = await self._uses.of_anyone(uri, boot)
            for volume in boot:
                if volume.name not in used:
                    await volume_store.delete_volume(connection, volume.pool, volume.name)
        return names


_VOLUME_PREFIX = "tiny-guest-"


def _volume_name(digest: str, name: str) -> str:
    return f"{_VOLUME_PREFIX}{digest}-{name}"
