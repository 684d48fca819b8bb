"""The roots of templates: each run of a template makes a new revision, and domains start from the current one."""

import asyncio
import logging
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Activity, Domain, DomainClass, DomainKey, DomainState, Ending
from qubes_manager.core.errors import BadInput, NotFound, Refused, UnknownDisk
from qubes_manager.core.image_use import recorded_elsewhere
from qubes_manager.core.settlement import Outcome, Settlement, needs_guard, needs_settling
from qubes_manager.core.signal import Signal
from qubes_manager.core.volume_use import TRANSIENT, image_name, system_source
from qubes_manager.core.volumes import Role, chain, past, revisions, superfluous
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_unfinished
from qubes_manager.services.volumes.frozen_copies import FrozenCopies
from qubes_manager.services.volumes.root_revisions import RootRevisions
from qubes_manager.services.volumes.volume_records import put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit

log = logging.getLogger(__name__)
_BOOT = (Role.KERNEL, Role.INITRD)


# Nobody knows that the run is of no use any more; one that was saved to a file can still go on.
_KEPT_BESIDE = {Ending.UNKNOWN: Outcome.SET_ASIDE, Ending.SAVED: Outcome.PUT_AWAY}


class TemplateRoots:
    """Keeps templates' revisions in order, and lets domains start from them."""

    def __init__(self, hosts: Hosts, store: DomainStore, uses: ImageUses, copies: FrozenCopies) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._copies = copies
        self._revisions = RootRevisions(hosts)
        # A template's run was settled by this object.
        self.settled = Signal[Settlement]()

    # Before a start.

    @asynccontextmanager
    async def ready_to_start(self, key: DomainKey) -> AsyncIterator[None]:
        """Prepare a halted domain's disks; the block starts it. What it started from stays until the block ends.

        A template gets a new revision to write to, which is dropped when the block fails. A domain that is made from
        a template gets the template's current root. Nobody changes its disks meanwhile. Raises Refused for a domain
        that runs by now.
        """
        domain = self._store.require(key)
        if needs_settling(domain):
            await self.settle(key)
        async with domain_lock(key.uuid, domain.name):
            # Who held it may have given it other disks, or started it.
            await self._hosts.refresh(key)
            domain = self._store.require(key)
            if domain.state.is_active or needs_settling(domain):
                raise Refused(f"“{domain.name}” was started by another program meanwhile")
            refuse_unfinished(domain)
            if domain.state is DomainState.SAVED:
                # The same run goes on, with the disks that it had.
                yield
            elif domain.klass is DomainClass.TEMPLATE and revisions(domain.config.volumes):
                await self._revisions.add(await self._uses.require_own_disks(key), 0, "trial")
                try:
                    yield
                except BaseException:
                    await asyncio.shield(self._drop_trial(key))
                    raise
            elif domain.config.template_uuid:
                template = await self.settled_template(domain)
                async with (
                    self._copies.in_place(domain),
                    domain_lock(template.key.uuid, template.name, shared=True),
                ):
                    await self.point_at_current(domain, self._store.require(template.key))
                    yield
            else:
                yield

    async def settled_template(self, domain: Domain) -> Domain:
        """The TemplateVM of a domain's system, when its last run is decided about; raises NotFound, Refused."""
        template = self._store.system_template_of(domain)
        if template is None:
            name = domain.config.template or domain.config.template_uuid
            raise NotFound(f"the template of “{domain.name}”, {name}, is gone: choose another one for it")
        await self._hosts.refresh(template.key)
        try:
            await self.settle(template.key)
        except UnknownDisk as error:
            # Its own next start is refused until that is put right; the current root is whole all the same.
            log.warning("%s", error)
        return self._store.require(template.key)

    def starting_elsewhere(self, template: Domain) -> list[Domain]:
        """The halted domains whose next start takes the system of another template, and which still name this one's."""
        names = {v.name for v in template.config.volumes}
        return [
            d
            for d in self._store.of_host(template.key.connection)
            if self._store.system_uuid(d) not in ("", template.key.uuid)
            and d.state.is_over
            and not d.config.job
            and names & {system_source(d.config), image_name(d.config.kernel), image_name(d.config.initrd)}
        ]

    async def point_at_own_template(self, domain: Domain) -> None:
        """Let a halted domain name the root from which it would start now; raises NotFound, Refused."""
        await self.point_at_current(domain, await self.settled_template(domain))
        await self._hosts.refresh(domain.key)

    async def point_at_current(self, domain: Domain, template: Domain) -> None:
        """Let a halted domain start from its template's current root, and boot its kernel."""
        connection = self._hosts.connection(domain.key.connection)
        wanted = [v for role in (Role.ROOT, *_BOOT) if (v := template.config.volume(role))]
        if not any(v.role is Role.ROOT for v in wanted):
            raise Refused(f"the template “{template.name}” has no root that is whole")
        paths = await volume_store.volume_paths(connection, wanted)
        roots = {v.name for d in self._store.of_host(domain.key.connection) for v in d.config.volumes}

        def edit(document: "DomainEdit") -> None:
            disk = document.config.disk(Role.ROOT)
            if disk is None or not (disk.transient or image_name(disk.source) in roots):
                raise Refused(
                    f"“{domain.name}” has no disk any more that the system of its template could be: another program "
                    f"took it away; give it one (virsh attach-disk {shlex.quote(domain.name)} "
                    f"{shlex.quote(paths[Role.ROOT])} vda --config), then try again"
                )
            document.set_disk_source(disk.target, paths[Role.ROOT], wanted[0].format)
            # Else it would write into what all domains of the template start from.
            document.set_disk_transient(disk.target, True)
            document.set_boot_files(paths.get(Role.KERNEL, ""), paths.get(Role.INITRD, ""))
            if domain.klass is not DomainClass.DISPOSABLE:
                document.metadata().set_text("template", template.name, uuid=template.key.uuid)

        await actions_on(self._hosts, domain).edit_config(edit)

    async def clear_leftovers(self, domain: Domain) -> list[str]:
        """Delete what throw-away disks of a halted domain left when the host crashed; returns the files' names.

        libvirt names them after the disk's file and the domain, and starts no domain over them (libvirt issue 684).
        Raises Refused when somebody has such a file by now, or stands on it.
        """
        uri, origins = domain.key.connection, {self._store.template_of(domain), self._store.system_template_of(domain)}
        volumes = [v for d in origins if d for v in d.config.volumes if v.role in (Role.ROOT, Role.FROZEN)]
        found = [replace(v, name=f"{v.name}{TRANSIENT}{domain.name}") for v in volumes]
        there = await self._uses.of_volumes(uri, found)
        for name, user in (await self._uses.of_anyone(uri, found)).items():
            raise Refused(f"“{domain.name}” cannot start over {name}, which a crash left: {user.words}")
        left = [v for v in found if v.name in there]
        for volume in left:
            await volume_store.delete_volume(self._hosts.connection(uri), volume.pool, volume.name)
        return [v.name for v in left]

    # A template's run.

    async def enlarge(self, domain: Domain, size: int) -> None:
        """Let a halted template's current root be a larger revision, *size* in bytes, above what it is now."""
        await self._revisions.add(domain, size, "revision")

    async def _drop_trial(self, key: DomainKey) -> bool:
        """Go back to the current root, as if the template had not been started; returns whether that is done.

        One that runs keeps it: libvirt may have started it although nobody waited for that any more, or others have.
        """
        await self._hosts.refresh(key)
        domain = self._store.require(key)
        if domain.state.is_active:
            return False
        config = domain.config
        # A merge that goes on meanwhile makes a volume of the current revision.
        unfinished = [v for v in config.volumes if v.unfinished and v.revision != config.revision]
        written = [v for v in config.volumes if v.role is Role.ROOT and v.revision == config.trial]
        needed = await self._uses.of_others(key, written)
        if needed:
            written = [v for v in written if v.name not in needed]
            log.warning("%s: what its run wrote is kept: %s", domain.name, next(iter(needed.values())).words)
        await self._revisions.leave_trial(domain, [replace(v, unfinished=True) for v in written])
        await self._revisions.delete(domain, list(dict.fromkeys([*written, *unfinished])))
        return True

    async def settle(self, key: DomainKey) -> Settlement | None:
        """Decide what becomes of a template's last run, when it has ended; None when there is nothing to decide.

        A clean shutdown makes its revision current. A kill drops it. When libvirt does not know how the run ended
        (its daemon was started anew since), or its memory lies in a file, the old revision stays current and the new
        one is kept beside.
        Raises UnknownDisk when another program gave it a disk above that revision (a snapshot): what the run wrote is
        there, and nothing is decided until it is merged.
        """
        domain = self._store.require(key)
        if not needs_settling(domain):
            return None
        async with domain_lock(key.uuid, domain.name):
            # Another program may have done it by now.
            domain = await self._uses.require_own_disks(key)
            if not needs_settling(domain):
                return None
            with self._store.activity(key, Activity.SETTLING):
                settlement = await self._settle(domain)
            await self._hosts.refresh(key)
        if settlement:
            self._tell(settlement)
        return settlement

    def _tell(self, settlement: Settlement) -> None:
        log.info("%s", settlement.sentence)
        self.settled.emit(settlement)

    async def discard_saved(self, key: DomainKey) -> None:
        """Delete a domain's saved state, and drop what a template's run had written; raises Refused without one."""
        domain = self._store.require(key)
        settlement = None
        async with domain_lock(key.uuid, domain.name):
            await self._hosts.refresh(key)
            domain = self._store.require(key)
            if domain.state is not DomainState.SAVED:
                raise Refused(f"“{domain.name}” has no saved state")
            await actions_on(self._hosts, domain).discard_saved()
            if (trial := domain.config.trial) and await self._drop_trial(key):
                settlement = Settlement(key, domain.name, Outcome.DISCARDED, trial, domain.config.revision)
            await self._hosts.refresh(key)
        if settlement:
            self._tell(settlement)

    async def guard(self, key: DomainKey) -> None:
        """See that whoever starts a halted template by other means cannot write into its current revision."""
        domain = self._store.require(key)
        async with domain_lock(key.uuid, domain.name):
            await self._hosts.refresh(key)
            domain = self._store.require(key)
            disk = domain.config.disk(Role.ROOT)
            if disk and needs_guard(domain):
                target = disk.target
                await actions_on(self._hosts, domain).edit_config(
                    lambda document: document.set_disk_transient(target, True)
                )
                await self._hosts.refresh(key)

    async def _settle(self, domain: Domain) -> Settlement | None:
        config = domain.config
        written = next((v for v in config.volumes if v.role is Role.ROOT and v.revision == config.trial), None)
        ran = written is not None and system_source(config) == written.name
        if ran and domain.ending is Ending.CLEAN:
            await self._revisions.commit(domain)
            return Settlement(domain.key, domain.name, Outcome.COMMITTED, config.trial, config.trial)
        if written and (domain.ending in _KEPT_BESIDE or not ran):
            # Nobody saw how it ended, or another program gave it another disk meanwhile.
            await self._revisions.leave_trial(domain, [])
            outcome = _KEPT_BESIDE.get(domain.ending, Outcome.SET_ASIDE)
            return Settlement(domain.key, domain.name, outcome, config.trial, config.revision)
        if not await self._drop_trial(domain.key):
            return None
        return Settlement(domain.key, domain.name, Outcome.DROPPED, config.trial, config.revision)

    async def revert(self, key: DomainKey, revision: int | None = None) -> int:
        """Make an earlier (or later) revision of a halted template current; returns it.

        Without a number it is the newest before the current one. A disk that another program gave it instead is left
        where it is. Raises BadInput, Refused.
        """
        await self.settle(key)
        # Whatever disk another program gave it: this is the way back.
        domain = self._store.require_halted(key)
        config = domain.config
        known = [v.revision for v in revisions(config.volumes)]
        if revision is None:
            revision = max((n for n in known if n < config.revision), default=0)
        if revision not in known:
            found = ", ".join(map(str, known)) or "none"
            raise BadInput("revision", str(revision or "none"), f"“{domain.name}” has {found}")
        async with domain_lock(key.uuid, domain.name):
            chosen = next(v for v in revisions(config.volumes) if v.revision == revision)
            await self._revisions.make_current(domain, chosen)
            await self._hosts.refresh(key)
        return revision

    # Afterwards, in the background.

    async def tidy(self, key: DomainKey) -> list[str]:
        """Merge a long chain of revisions and delete those that nobody needs; returns the deleted ones' names.

        The merge makes a whole copy of the current revision beside it, so that running domains do not notice.
        """
        domain = self._store.require(key)
        if domain.klass is not DomainClass.TEMPLATE:
            return []
        async with domain_lock(f"{key.uuid}.tidy", domain.name):
            domain = await self._uses.require_own_disks(key)
            config = domain.config
            current = config.volume(Role.ROOT)
            if current and len(chain(current.name, config.volumes)) > config.keep_revisions:
                await self._revisions.merge(domain, current)
            return await self._delete_superfluous(key)

    async def _delete_superfluous(self, key: DomainKey) -> list[str]:
        async with domain_lock(key.uuid, self._store.require(key).name):
            # Somebody else may have made a domain that stands on these volumes, of which nothing was heard here.
            await self._hosts.refresh_host(key.connection)
            domain = self._store.require(key)
            config = domain.config
            for dependent in self._store.of_host(key.connection):
                is_idle = dependent.state.is_over and not dependent.config.job
                if self._store.system_uuid(dependent) == key.uuid and is_idle:
                    try:
                        await self.point_at_current(dependent, domain)
                    except Refused as error:
                        # What it has instead counts as used.
                        log.warning("%s", error)
                    await self._hosts.refresh(dependent.key)
            used = set(await self._uses.of_anyone(key.connection, config.volumes))
            used |= recorded_elsewhere(domain, self._store.of_host(key.connection))
            limits = (config.revision, config.trial, config.keep_revisions)
            gone = superfluous(config.volumes, *limits, used)
            # What others still stand on is no revision to go back to any more.
            bases = [replace(v, role=Role.BASE) for v in past(config.volumes, *limits) if v not in gone]
            if bases:
                await actions_on(self._hosts, domain).edit_config(put(*bases))
            await self._revisions.delete(domain, gone)
            await self._hosts.refresh(key)
            return [v.name for v in gone]
