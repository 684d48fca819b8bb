"""Copies of AppVMs' private volumes, which disposables start from while the AppVM itself runs, or changes."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Activity, Domain, DomainClass, DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import OwnVolume, Role, frozen_copies, volume_name
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_unfinished

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit


class FrozenCopies:
    """Keeps for each disposable template a copy of its private volume as its last run left it.

    The copy is made when a disposable is wanted and the AppVM has run since the last one; libvirt makes it, so that
    hosts far away have it too. While the AppVM runs, its last copy stands. Copies that no disposable runs from any
    more, but for the newest, are deleted.
    """

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses

    @asynccontextmanager
    async def held(self, key: DomainKey, progress: Progress = SILENT) -> AsyncIterator[tuple[Domain, OwnVolume]]:
        """A disposable template, and its copy, which stays as it is while the block runs.

        Raises Refused where there is none and none can be made: the template runs, for example.
        """
        await self.renew(key, progress)
        template = self._store.require(key)
        async with domain_lock(key.uuid, template.name, shared=True):
            await self._hosts.refresh(key)
            template = self._store.require(key)
            refuse_no_template(template)
            copies = frozen_copies(template.config.volumes)
            if not copies:
                raise Refused(f"“{template.name}” is being changed by another program: try again")
            yield template, copies[-1]

    @asynccontextmanager
    async def in_place(self, domain: Domain) -> AsyncIterator[None]:
        """Let a halted disposable, which has a name, start from its template's copy; any other domain as it is.

        The copy stays while the block runs; the domain's lock is held by the caller.
        """
        if domain.klass is not DomainClass.DISPOSABLE:
            yield
            return
        key = DomainKey(domain.key.connection, domain.config.template_uuid)
        async with self.held(key) as (template, copy):
            connection = self._hosts.connection(key.connection)
            path = (await volume_store.volume_paths(connection, [copy]))[Role.FROZEN]
            disk = domain.config.disk(Role.PRIVATE)
            if disk is None:
                raise Refused(f"“{domain.name}” has no disk that the data of “{template.name}” could be")
            await actions_on(self._hosts, domain).edit_config(_use(disk.target, path, copy.format))
            yield

    async def renew(self, key: DomainKey, progress: Progress = SILENT) -> bool:
        """See that a disposable template has a copy that is as new as can be; returns whether a new one was made.

        Raises Refused where there is none and none can be made, HostCallFailed.
        """
        await self._hosts.refresh(key)
        template = self._store.require(key)
        refuse_no_template(template)
        if await self._stands(template):
            return False
        async with domain_lock(key.uuid, template.name):
            # Somebody else may have made it, or started the template, meanwhile.
            template = await self._uses.require_own_disks(key)
            refuse_no_template(template)
            if await self._stands(template):
                return False
            progress.step(f"Copying the data of “{template.name}”")
            with self._store.activity(key, Activity.COPYING):
                await self._copy(template)
            await self._hosts.refresh(key)
            await self._drop_old(key)
        return True

    async def tidy(self, key: DomainKey) -> None:
        """Delete the copies that nobody runs from any more: all but the newest, which goes when none is to be made."""
        template = self._store.require(key)
        if _replaced(template):
            async with domain_lock(key.uuid, template.name):
                await self._drop_old(key)

    async def _stands(self, template: Domain) -> bool:
        """Whether the newest copy is the one to start from; raises Refused where there is none and none can be made."""
        copy = await self._newest(template)
        if template.state.is_over:
            # It is of what the private volume holds now.
            return copy is not None and copy.state == await self._state(template)
        if copy is None:
            raise Refused(
                f"there is no copy of the data of “{template.name}” that disposables start from, and none can be made "
                f"now, since they change: shut “{template.name}” down once, then try again"
            )
        return True

    async def _newest(self, template: Domain) -> OwnVolume | None:
        """The newest copy, where it is still there: others delete volumes too."""
        copies = frozen_copies(template.config.volumes)
        connection = self._hosts.connection(template.key.connection)
        return copies[-1] if copies and await volume_store.is_there(connection, copies[-1]) else None

    async def _state(self, template: Domain) -> str:
        """What a copy of the template's private volume would be a copy of."""
        private = _private(template)
        connection = self._hosts.connection(template.key.connection)
        return f"{private.name} {await volume_store.last_write(connection, private)}"

    async def _copy(self, template: Domain) -> None:
        private, key = _private(template), template.key
        connection, actions = self._hosts.connection(key.connection), actions_on(self._hosts, template)
        await self._uses.refuse_writers(key, [private])
        number = 1 + max((v.revision for v in template.config.volumes if v.role is Role.FROZEN), default=0)
        while await volume_store.is_known(connection, private.pool, _name(template, number)):
            # Another program wrote back what it had read of the template before that copy was recorded.
            number += 1
        new = OwnVolume(Role.FROZEN, private.pool, _name(template, number), number, unfinished=True)
        state = await self._state(template)
        await actions.edit_metadata(lambda edit: edit.put_volumes(new))
        try:
            await volume_store.copy_volume(connection, private, new.name)
            # Who does not ask for our locks may have started it meanwhile; the copy is torn then.
            if await self._state(template) != state:
                raise Refused(f"“{template.name}” was started while its data were copied: shut it down, and try again")
            whole = replace(new, unfinished=False, state=state)
            await actions.edit_metadata(lambda edit: edit.put_volumes(whole))
        except BaseException:
            await asyncio.shield(self._take_back(template, new))
            raise

    async def _take_back(self, template: Domain, new: OwnVolume) -> None:
        """Delete a copy that did not get whole; what cannot be deleted now stays recorded, and is later."""
        try:
            await volume_store.delete_volume(self._hosts.connection(template.key.connection), new.pool, new.name)
            await actions_on(self._hosts, template).edit_metadata(lambda edit: edit.drop_volumes([new.name]))
        except QubesManagerError:
            return

    async def _drop_old(self, key: DomainKey) -> None:
        """Delete copies that were replaced and that nobody has as a disk; the template's lock is held."""
        await self._hosts.refresh(key)
        template = self._store.require(key)
        old = _replaced(template)
        if not old:
            return
        used = await self._uses.of_anyone(key.connection, old)
        gone = [v for v in old if v.name not in used]
        if not gone:
            return
        actions, connection = actions_on(self._hosts, template), self._hosts.connection(key.connection)
        # The template may be running, and what is read of it then is its present record.
        going = [replace(v, unfinished=True) for v in gone]
        await actions.edit_metadata(lambda edit: edit.put_volumes(*going))
        for volume in gone:
            await volume_store.delete_volume(connection, volume.pool, volume.name)
        await actions.edit_metadata(lambda edit: edit.drop_volumes([v.name for v in gone]))
        await self._hosts.refresh(key)


def refuse_no_template(domain: Domain) -> None:
    """Raise Refused when no disposable can be made of *domain*; says what to do."""
    refuse_unfinished(domain)
    if domain.klass is not DomainClass.APP:
        raise Refused(f"“{domain.name}” is no AppVM: only an AppVM can be the template of disposables")
    if not domain.config.template_for_dispvms:
        raise Refused(
            f"“{domain.name}” is not meant for disposables: allow it in its settings (qvm-prefs "
            f"{shlex.quote(domain.name)} template_for_dispvms True), or name another one"
        )
    disk = domain.config.disk(Role.PRIVATE)
    if disk and disk.encrypted:
        raise Refused(f"the private volume of “{domain.name}” is encrypted: disposables cannot start from it")


def _replaced(template: Domain) -> list[OwnVolume]:
    """The copies from which no disposable is made any more."""
    copies = frozen_copies(template.config.volumes)
    return copies[:-1] if template.config.template_for_dispvms else copies


def _private(template: Domain) -> OwnVolume:
    private = template.config.volume(Role.PRIVATE)
    if private is None:
        raise NotFound(f"“{template.name}” has no private volume that this program made")
    return private


def _use(target: str, path: str, image_format: str) -> "Callable[[DomainEdit], None]":
    """An edit that lets a disk start from a file that it does not write to."""

    def edit(document: "DomainEdit") -> None:
        document.set_disk_source(target, path, image_format)
        document.set_disk_transient(target, True)

    return edit


def _name(template: Domain, number: int) -> str:
    return volume_name(template.name, template.key.uuid, Role.FROZEN, "qcow2", number)
