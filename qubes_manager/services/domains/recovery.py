"""Finishing or undoing what a program that died had begun on a domain."""

import asyncio
import contextlib
import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.creation_mark import is_begun
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.backend.user.owner import owner
from qubes_manager.core.domain import Domain, Job
from qubes_manager.core.errors import HostCallFailed, NotFound, QubesManagerError, Refused
from qubes_manager.core.image_use import recorded_elsewhere
from qubes_manager.core.settlement import needs_care, needs_guard, needs_settling
from qubes_manager.core.volumes import OwnVolume, Role, is_our_name
from qubes_manager.services.domains.undoing import call_off_removal, finish_removal, take_away
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.volumes.template_roots import TemplateRoots
from qubes_manager.services.volumes.volume_records import drop, put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit

log = logging.getLogger(__name__)


def needs_recovery(domain: Domain) -> bool:
    """Whether something was begun on this domain, by this user of this machine, and is not finished."""
    config = domain.config
    if not domain.is_read or domain.stale or domain.state.is_active:
        return False
    if config.job:
        return config.job_by == owner()
    return any(volume.unfinished and volume.maker == owner() for volume in config.volumes)


class Recovery:
    """Puts domains in order that a crash left half changed. What a living program is doing is left alone."""

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses, roots: TemplateRoots) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._roots = roots

    async def recover_all(self, uri: str) -> list[str]:
        """Recover all domains of a connection, and settle its templates; returns the names of those changed."""
        found = []
        for domain in self._store.of_host(uri):
            if needs_care(domain) or needs_recovery(domain):
                with contextlib.suppress(QubesManagerError):
                    if await self.recover(domain):
                        found.append(domain.name)
        return found

    async def recover(self, domain: Domain) -> str:
        """Undo a creation, finish a removal that has begun to delete or call it off, delete volumes that never got
        whole, settle a template's run.

        Returns what was done, a sentence for people; nothing when another program is at work on the domain.
        """
        key = domain.key
        done = ""
        if needs_recovery(domain):
            try:
                async with (
                    domain_lock(f"{key.uuid}.tidy", domain.name, 0),
                    domain_lock(key.uuid, domain.name, 0),
                ):
                    await self._hosts.refresh(key)
                    now = self._store.get(key)
                    done = await self._recover(now) if now and needs_recovery(now) else ""
            except Refused:
                return ""
            await self._hosts.refresh(key)
            if done:
                log.warning("%s", done)
        rest = self._store.get(key)
        if rest and needs_settling(rest):
            settlement = await self._roots.settle(key)
            done = done or (settlement.sentence if settlement else "")
        elif rest and needs_guard(rest):
            await self._roots.guard(key)
        return done

    async def _recover(self, domain: Domain) -> str:
        """Raises NotFound or HostCallFailed where a pool cannot be looked into: its volumes stay recorded."""
        config, connection = domain.config, self._hosts.connection(domain.key.connection)
        shared = recorded_elsewhere(domain, self._store.of_host(domain.key.connection))
        own = [v for v in config.volumes if is_our_name(v.name) and v.name not in shared]
        volumes = [v for v in own if config.job or v.unfinished]
        if config.job is Job.REMOVE:
            return await self._recover_removal(domain, volumes)
        needed = await self._uses.of_anyone(domain.key.connection, volumes)
        free = [v for v in volumes if v.name not in needed]
        if config.job and await self._is_stale(domain):
            return await self._call_off_creation(domain)
        if config.job:
            await take_away(connection, domain.key.uuid, domain.name, free)
            return f"“{domain.name}” was being made when a program ended: what there was of it is taken away."
        if lost := await self._keep_last(domain, free):
            return lost
        if not free:
            return ""
        for volume in free:
            await volume_store.delete_volume(connection, volume.pool, volume.name)
        await actions_on(self._hosts, domain).edit_config(drop(v.name for v in free))
        return f"A change of “{domain.name}” was interrupted: {len(free)} volumes that never got whole are deleted."

    async def _is_stale(self, domain: Domain) -> bool:
        """Whether the creation that a domain's XML tells of has ended: it was read before, and written back after."""
        if await asyncio.to_thread(is_begun, domain.key.uuid):
            return False
        return bool(await self._uses.of_volumes(domain.key.connection, domain.config.volumes))

    async def _call_off_creation(self, domain: Domain) -> str:
        """Take the record of a creation out of a domain that was whole before; its volumes stay."""
        there = await self._uses.of_volumes(domain.key.connection, domain.config.volumes)
        whole = [replace(v, unfinished=False) for v in domain.config.volumes if v.name in there]

        def edit(document: "DomainEdit") -> None:
            put(*whole)(document)
            document.metadata().set_job(None)

        await actions_on(self._hosts, domain).edit_config(edit)
        return (
            f"“{domain.name}” has a configuration back from before it was whole; {', '.join(v.name for v in whole)} "
            f"has what it was made of: give it that again (virsh edit {shlex.quote(domain.name)}), or remove it."
        )

    async def _keep_last(self, domain: Domain, volumes: Sequence[OwnVolume]) -> str:
        """Record as whole those of *volumes* without which the domain has no system or no private data, and say so.

        Its XML was read by another program before the change had ended, and written back after that.
        """
        there = await self._uses.of_volumes(domain.key.connection, domain.config.volumes)
        whole = {v.role for v in domain.config.volumes if v.name in there and not v.unfinished}
        lost = {Role.ROOT, Role.PRIVATE} - whole
        last = [replace(v, unfinished=False) for v in volumes if v.name in there and v.role in lost]
        if not last:
            return ""
        await actions_on(self._hosts, domain).edit_config(put(*last))
        names = ", ".join(v.name for v in last)
        return (
            f"“{domain.name}” has an earlier configuration back, whose disk is gone; {names} has its data: "
            f"give it that one (virsh edit {shlex.quote(domain.name)})."
        )

    async def _recover_removal(self, domain: Domain, volumes: Sequence[OwnVolume]) -> str:
        """Finish a removal that has begun to delete; one that has not, or cannot go on now, is called off for good."""
        was = f"“{domain.name}” was being removed when a program ended"
        try:
            there = await self._uses.of_volumes(domain.key.connection, volumes)
            missing = [v for v in volumes if v.name not in there]
            if not await self._can_be_seen(domain, missing):
                await actions_on(self._hosts, domain).edit_metadata(lambda edit: edit.set_job(None))
                return f"{was}: it stays; {', '.join(v.name for v in missing)} cannot be seen now."
            needed = await self._uses.of_others(domain.key, volumes) if missing else {}
            begun = bool(missing)
        except (NotFound, HostCallFailed, Refused):
            begun = False
        if begun and not needed:
            await finish_removal(self._hosts, domain, volumes)
            return f"{was}: that is finished."
        gone = await call_off_removal(self._hosts, domain)
        lost = f" without {', '.join(gone)}, which was deleted by then" if gone else ""
        return f"{was}: it stays{lost}; remove it again if you like."

    async def _can_be_seen(self, domain: Domain, missing: Sequence[OwnVolume]) -> bool:
        """Whether what is *missing* is deleted: a folder where nothing is mounted now has no volumes at all."""
        connection = self._hosts.connection(domain.key.connection)
        return all([await volume_store.volume_names(connection, pool) for pool in {v.pool for v in missing}])
