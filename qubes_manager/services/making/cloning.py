"""Copies of domains."""

import asyncio
import uuid
from dataclasses import replace

from qubes_manager.backend.domains.finishing import stored_xml
from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.creation_mark import mark_begun, mark_ended
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Domain, DomainClass, DomainKey, Job
from qubes_manager.core.errors import Refused
from qubes_manager.core.names import check_name
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import BOOT_ROLES, DISC_ROLES, OwnVolume, Role, volume_name
from qubes_manager.services.domains.undoing import undo
from qubes_manager.services.files.host_paths import console_log_path
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_saved
from qubes_manager.services.making.making import VolumePlan, plan_copy, plan_empty
from qubes_manager.services.volumes.template_roots import TemplateRoots


class Cloning:
    """Makes a halted domain anew under another name, with its settings and a copy of its data."""

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses, roots: TemplateRoots) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._roots = roots

    async def clone(self, key: DomainKey, name: str, *, pool: str = "", progress: Progress = SILENT) -> DomainKey:
        """Clone a domain; returns the new one's key. On any error nothing is left behind.

        A template's clone starts above its current revision and copies nothing; what a domain has written is copied.
        *pool* is where copies go, the original's own where it is empty. Raises BadInput, Refused, HostCallFailed.
        """
        check_name(name)
        self._store.refuse_taken(key.connection, name)
        await self._roots.settle(key)
        own = str(uuid.uuid4())
        async with domain_lock(key.uuid, self._store.require(key).name), domain_lock(own, name):
            await self._hosts.refresh(key)
            _refuse_clone(self._store.require(key))
            domain = await self._uses.require_own_disks(key)
            plans = self._plans(domain, name, own, pool, progress)
            await volume_store.require_pools(self._hosts.connection(key.connection), {p.record.pool for p in plans})
            await self._uses.refuse_writers(key, domain.config.volumes)
            return await self._clone(domain, name, own, plans)

    def _plans(self, domain: Domain, name: str, own: str, pool: str, progress: Progress) -> list[VolumePlan]:
        connection = self._hosts.connection(domain.key.connection)
        is_template = domain.klass is DomainClass.TEMPLATE
        plans = []
        for source in domain.config.volumes:
            if source.unfinished:
                continue
            if source.role is Role.ROOT and source.revision == domain.config.revision:
                new = volume_name(name, own, Role.ROOT, "qcow2", 1 if is_template else 0)
                record = OwnVolume(Role.ROOT, pool or source.pool, new, 1 if is_template else 0)
                if is_template and record.pool == source.pool:
                    plans.append(plan_empty(connection, replace(record, backing=source.name), 0))
                else:
                    plans.append(plan_copy(connection, record, source, progress))
            elif source.role is Role.PRIVATE:
                record = OwnVolume(source.role, pool or source.pool, volume_name(name, own, source.role, "qcow2"))
                plans.append(plan_copy(connection, record, source, progress))
            elif source.role in (*BOOT_ROLES, *DISC_ROLES):
                ending = source.name.rpartition(".")[2]
                place = pool if pool and source.role in DISC_ROLES else source.pool
                record = OwnVolume(source.role, place, volume_name(name, own, source.role, ending))
                plans.append(plan_copy(connection, record, source, progress, raw=True))
        return plans

    async def _clone(self, domain: Domain, name: str, own: str, plans: list[VolumePlan]) -> DomainKey:
        uri = domain.key.connection
        key = DomainKey(uri, own)
        records = [plan.record for plan in plans]
        log = await asyncio.to_thread(console_log_path, uri, own)
        actions = actions_on(self._hosts, domain)
        await actions.define_copy(own, name, log, [replace(r, unfinished=True) for r in records], Job.CREATE, {})
        try:
            await asyncio.to_thread(mark_begun, own)
            begun = await stored_xml(self._hosts.connection(uri), own, name)
            await self._hosts.refresh(key)
            paths, finished = {}, []
            for plan in plans:
                made, record = await plan.make()
                paths[plan.record.role] = made.path
                finished.append(record)
            await actions.define_copy(own, name, log, finished, None, paths, begun)
            await asyncio.to_thread(mark_ended, own)
        except BaseException:
            await asyncio.shield(undo(self._hosts, key, name, records))
            raise
        await self._hosts.refresh(key)
        return key


def _refuse_clone(domain: Domain) -> None:
    if domain.is_host:
        raise Refused("dom0 is this machine; it cannot be cloned")
    if not domain.is_read:
        raise Refused(f"“{domain.name}” cannot be cloned yet: what is its own has not been read; try again")
    is_template = domain.klass is DomainClass.TEMPLATE
    if domain.state.is_active and not is_template:
        raise Refused(f"“{domain.name}” is running: shut it down first, so that its data are whole")
    if not is_template:
        refuse_saved(domain)
    if any(disk.encrypted for disk in domain.config.disks):
        raise Refused(f"the private volume of “{domain.name}” is encrypted; it cannot be cloned")
    foreign = [d.target for d in domain.config.disks if d.kind == "disk" and d.source]
    if not domain.config.volumes and foreign:
        raise Refused(f"the disks of “{domain.name}” were not made by this program; clone it with virt-clone")
