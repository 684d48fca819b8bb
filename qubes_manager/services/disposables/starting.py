"""Starting a disposable: what it starts from, what it is called, and what libvirt is told."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qubes_manager.backend.domains.disposable_xml import DisposableBase, disposable_xml, made_of
from qubes_manager.backend.domains.domain_actions import define, start_transient
from qubes_manager.backend.domains.finishing import stored_xml
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.disposables import disposable_name, disposable_number
from qubes_manager.core.domain import Disposal, DomainKey
from qubes_manager.core.errors import HostCallFailed, Refused
from qubes_manager.core.progress import Progress
from qubes_manager.core.volumes import BOOT_ROLES, OwnVolume, Role
from qubes_manager.services.disposables.leftovers import STARTING, Leftovers
from qubes_manager.services.disposables.numbers import DisposableNumbers
from qubes_manager.services.domains.lifecycle import Lifecycle
from qubes_manager.services.domains.sound import Sound
from qubes_manager.services.files.host_paths import console_log_path
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.network.isolation import Isolation
from qubes_manager.services.volumes.frozen_copies import FrozenCopies
from qubes_manager.services.volumes.template_roots import TemplateRoots

log = logging.getLogger(__name__)
# What libvirt says when a crash left a throw-away file of a domain of the same name.
_LEFTOVER = "Overlay file"


class DisposableStarts:
    """Starts disposables as transient domains, and defines those that have a name. All raise Refused, HostCallFailed.

    Whoever starts one holds the AppVM and its template, shared, until libvirt runs it: from then on its files are seen
    to be in use.
    """

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        roots: TemplateRoots,
        copies: FrozenCopies,
        leftovers: Leftovers,
        numbers: DisposableNumbers,
        sound: Sound,
        isolation: Isolation,
        lifecycle: Lifecycle,
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._roots = roots
        self._copies = copies
        self._leftovers = leftovers
        self._numbers = numbers
        self._sound = sound
        self._isolation = isolation
        self._lifecycle = lifecycle

    async def start(
        self, template: DomainKey, key: DomainKey, name: str, progress: Progress, *, internal: bool = False
    ) -> None:
        """Start a disposable as *key*, over leftovers of a crash too; without a *name* it gets one of its own.

        An *internal* one is to wait for its use. Raises Cancelled before anything is done.
        """
        try:
            await self._start(template, key, name, progress, internal)
        except HostCallFailed as error:
            if _LEFTOVER not in error.details:
                raise
            await self.sweep(key.connection)
            await self._start(template, key, name, progress, internal)

    async def _start(self, template: DomainKey, key: DomainKey, name: str, progress: Progress, internal: bool) -> None:
        connection = self._hosts.connection(key.connection)
        console_log = await asyncio.to_thread(console_log_path, key.connection, key.uuid)
        # Disposables have their template's network.
        await self._isolation.renew(self._store.require(template))
        await self._lifecycle.start_network(self._store.require(template))
        async with self._base(template, progress) as (base, xml):
            name = name or await self._new_name(key.connection)
            progress.step(f"starting “{name}”")
            progress.raise_if_cancelled()
            sound = await self._sound.server_for(base.template, name)
            xml = disposable_xml(xml, base, key.uuid, name, console_log, Disposal.HELD, internal=internal, sound=sound)
            async with domain_lock(STARTING, "disposables", shared=True):
                await start_transient(connection, name, xml)
            await self._hosts.refresh(key)

    async def define(self, template: DomainKey, key: DomainKey, name: str, progress: Progress) -> None:
        """Define a disposable that stays in the list when it stops."""
        console_log = await asyncio.to_thread(console_log_path, key.connection, key.uuid)
        async with self._base(template, progress) as (base, xml):
            progress.raise_if_cancelled()
            xml = disposable_xml(xml, base, key.uuid, name, console_log, None)
            await define(self._hosts.connection(key.connection), name, xml)
            await self._hosts.refresh(key)

    async def made_of(self, template: DomainKey, progress: Progress) -> str:
        """What a disposable that is made now would be made of, as a digest."""
        async with self._base(template, progress) as (base, xml):
            return made_of(xml, base)

    async def sweep(self, uri: str) -> None:
        """Take away the files that disposables have left which libvirt does not know any more."""
        if cleared := await self._leftovers.clear(uri):
            log.info("cleared what a crash left of disposables: %s", ", ".join(cleared))

    async def _new_name(self, uri: str) -> str:
        taken = {n for d in self._store.of_host(uri) if (n := disposable_number(d.name)) is not None}
        return disposable_name(await asyncio.to_thread(self._numbers.take, taken))

    @asynccontextmanager
    async def _base(self, key: DomainKey, progress: Progress) -> AsyncIterator[tuple[DisposableBase, str]]:
        """What a disposable starts from, which stays while the block runs, and its template's XML."""
        connection = self._hosts.connection(key.connection)
        async with self._copies.held(key, progress) as (template, copy):
            system = await self._roots.settled_template(template)
            async with domain_lock(system.key.uuid, system.name, shared=True):
                config = self._store.require(system.key).config
                volumes: dict[Role, OwnVolume] = {
                    role: v for role in (Role.ROOT, *BOOT_ROLES) if (v := config.volume(role))
                }
                if Role.ROOT not in volumes:
                    raise Refused(f"the template “{system.name}” has no root that is whole")
                volumes[Role.FROZEN] = copy
                paths = await volume_store.volume_paths(connection, volumes.values())
                xml = await stored_xml(connection, template.key.uuid, template.name)
                yield DisposableBase(template, volumes, paths), xml
