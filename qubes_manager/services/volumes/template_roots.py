"""The roots of templates: each run of a template makes a new revision, and domains start from the current one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Activity, Domain, DomainClass, DomainKey, Ending
from qubes_manager.core.errors import BadInput, NotFound, Refused
from qubes_manager.core.signal import Signal
from qubes_manager.core.volume_use import are_known, image_name, images_in_use, needed_by_others, system_source
from qubes_manager.core.volumes import OwnVolume, Role, chain, past, revisions, superfluous, volume_name
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.volumes.volume_records import drop, put

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit

log = logging.getLogger(__name__)
_BOOT = (Role.KERNEL, Role.INITRD)


class Outcome(Enum):
    """What became of a template's run."""

    COMMITTED = "committed"
    DROPPED = "dropped"
    SET_ASIDE = "set aside"


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a template's run ended: the revision that it wrote, and the one that is current now."""

    key: DomainKey
    template: str
    outcome: Outcome
    written: int
    current: int

    @property
    def is_kept(self) -> bool:
        """Whether what the run wrote is current now."""
        return self.outcome is Outcome.COMMITTED

    @property
    def sentence(self) -> str:
        """For people."""
        match self.outcome:
            case Outcome.COMMITTED:
                return f"“{self.template}” has a new revision {self.current}; domains get it at their next start."
            case Outcome.DROPPED:
                return (
                    f"“{self.template}” did not shut down properly: what its run changed is dropped, "
                    f"and revision {self.current} stays current."
                )
            case Outcome.SET_ASIDE:
                return (
                    f"“{self.template}” stopped and nobody saw how: revision {self.current} stays current. "
                    f"If its run ended well, go to revision {self.written} (“Revisions…”, or qvm-volume revert)."
                )


class TemplateRoots:
    """Keeps templates' revisions in order, and lets domains start from them."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store
        # A template's run was settled by this object.
        self.settled = Signal[Settlement]()

    # Before a start.

    @asynccontextmanager
    async def ready_to_start(self, key: DomainKey) -> AsyncIterator[None]:
        """Prepare a halted domain's disks; the block starts it. What it started from stays until the block ends.

        A template gets a new revision to write to, which is dropped when the block fails. A domain that is made from
        a template gets the template's current root.
        """
        domain = self._store.require(key)
        if needs_settling(domain):
            await self.settle(key)
            domain = self._store.require(key)
        if domain.klass is DomainClass.TEMPLATE and revisions(domain.config.volumes):
            async with domain_lock(key.uuid, domain.name):
                await self._begin_trial(domain)
                try:
                    yield
                except BaseException:
                    await asyncio.shield(self._drop_trial(key))
                    raise
        elif domain.config.template_uuid:
            template = await self._settled_template(domain)
            async with domain_lock(template.key.uuid, template.name, shared=True):
                await self.point_at_current(domain, self._store.require(template.key))
                yield
        else:
            yield

    async def _settled_template(self, domain: Domain) -> Domain:
        template = self._store.template_of(domain)
        if template is None:
            name = domain.config.template or domain.config.template_uuid
            raise NotFound(f"the template of “{domain.name}”, {name}, is gone: choose another one for it")
        await self._hosts.refresh(template.key)
        await self.settle(template.key)
        return self._store.require(template.key)

    async def point_at_current(self, domain: Domain, template: Domain) -> None:
        """Let a halted domain start from its template's current root, and boot its kernel."""
        connection = self._hosts.connection(domain.key.connection)
        wanted = [v for role in (Role.ROOT, *_BOOT) if (v := template.config.volume(role))]
        if not any(v.role is Role.ROOT for v in wanted):
            raise Refused(f"the template “{template.name}” has no root that is whole")
        paths = await volume_store.volume_paths(connection, wanted)

        def edit(document: "DomainEdit") -> None:
            disk = document.config.disk(Role.ROOT)
            if disk:
                document.set_disk_source(disk.target, paths[Role.ROOT], wanted[0].format)
            document.set_boot_files(paths.get(Role.KERNEL, ""), paths.get(Role.INITRD, ""))
            document.metadata().set_text("template", template.name, uuid=template.key.uuid)

        await actions_on(self._hosts, domain).edit_config(edit)

    # A template's run.

    async def _begin_trial(self, domain: Domain) -> None:
        await self.add_revision(domain, 0, lambda document, number: document.metadata().set_number("trial", number))

    async def add_revision(self, domain: Domain, size: int, put_in_use: "Callable[[DomainEdit, int], None]") -> None:
        """Put a new revision above a template's current root and let the template's disk be it.

        *size* is in bytes, 0 for that of the current root. *put_in_use* records the revision's number as what it is.
        """
        config = domain.config
        current = config.volume(Role.ROOT)
        if current is None:
            raise Refused(f"“{domain.name}” has no root that is whole")
        number = 1 + max(v.revision for v in config.volumes)
        name = volume_name(domain.name, domain.key.uuid, Role.ROOT, "qcow2", number)
        new = OwnVolume(Role.ROOT, current.pool, name, number, backing=current.name, unfinished=True)
        actions, connection = actions_on(self._hosts, domain), self._hosts.connection(domain.key.connection)
        await actions.edit_config(put(new))
        volume = await volume_store.create_volume(connection, name, size, pool=new.pool, backing=current.name)

        def edit(document: "DomainEdit") -> None:
            put(replace(new, unfinished=False))(document)
            put_in_use(document, number)
            if disk := document.config.disk(Role.ROOT):
                document.set_disk_source(disk.target, volume.path, new.format)

        await actions.edit_config(edit)

    async def _drop_trial(self, key: DomainKey) -> None:
        """Go back to the current root, as if the template had not been started."""
        await self._hosts.refresh(key)
        domain = self._store.require(key)
        config = domain.config
        # A merge that goes on meanwhile makes a volume of the current revision.
        unfinished = [v for v in config.volumes if v.unfinished and v.revision != config.revision]
        written = [v for v in config.volumes if v.role is Role.ROOT and v.revision == config.trial]
        await self._leave_trial(domain, [replace(v, unfinished=True) for v in written])
        await self._delete(domain, list(dict.fromkeys([*written, *unfinished])))

    async def _leave_trial(self, domain: Domain, records: list[OwnVolume]) -> None:
        current = domain.config.volume(Role.ROOT)
        connection = self._hosts.connection(domain.key.connection)
        paths = await volume_store.volume_paths(connection, [current] if current else [])

        def edit(document: "DomainEdit") -> None:
            put(*records)(document)
            document.metadata().set_number("trial", 0)
            disk = document.config.disk(Role.ROOT)
            if disk and current:
                document.set_disk_source(disk.target, paths[Role.ROOT], current.format)

        await actions_on(self._hosts, domain).edit_config(edit)

    async def settle(self, key: DomainKey) -> Settlement | None:
        """Decide what becomes of a template's last run, when it has ended; None when there is nothing to decide.

        A clean shutdown makes its revision current. A kill drops it. When libvirt does not know how the run ended
        (its daemon was started anew since), the old revision stays current and the new one is kept beside.
        """
        domain = self._store.require(key)
        if not needs_settling(domain):
            return None
        async with domain_lock(key.uuid, domain.name):
            # Another program may have done it by now.
            await self._hosts.refresh(key)
            domain = self._store.require(key)
            if not needs_settling(domain):
                return None
            with self._store.activity(key, Activity.SETTLING):
                settlement = await self._settle(domain)
            await self._hosts.refresh(key)
        log.info("%s", settlement.sentence)
        self.settled.emit(settlement)
        return settlement

    async def _settle(self, domain: Domain) -> Settlement:
        config = domain.config
        written = next((v for v in config.volumes if v.role is Role.ROOT and v.revision == config.trial), None)
        ran = written is not None and system_source(config) == written.name
        if ran and domain.ending is Ending.CLEAN:
            await actions_on(self._hosts, domain).edit_config(_commit)
            return Settlement(domain.key, domain.name, Outcome.COMMITTED, config.trial, config.trial)
        if ran and domain.ending is Ending.UNKNOWN:
            await self._leave_trial(domain, [])
            return Settlement(domain.key, domain.name, Outcome.SET_ASIDE, config.trial, config.revision)
        await self._drop_trial(domain.key)
        return Settlement(domain.key, domain.name, Outcome.DROPPED, config.trial, config.revision)

    async def revert(self, key: DomainKey, revision: int | None = None) -> int:
        """Make an earlier (or later) revision of a halted template current; returns it.

        Without a number it is the newest before the current one. Raises BadInput, Refused.
        """
        await self.settle(key)
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
            connection = self._hosts.connection(key.connection)
            paths = await volume_store.volume_paths(connection, [chosen])

            def edit(document: "DomainEdit") -> None:
                document.metadata().set_number("revision", chosen.revision)
                if disk := document.config.disk(Role.ROOT):
                    document.set_disk_source(disk.target, paths[Role.ROOT], chosen.format)

            await actions_on(self._hosts, domain).edit_config(edit)
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
            await self._hosts.refresh(key)
            domain = self._store.require(key)
            config = domain.config
            current = config.volume(Role.ROOT)
            if current and len(chain(current.name, config.volumes)) > config.keep_revisions:
                await self._flatten(domain, current)
            return await self._delete_superfluous(key)

    async def _flatten(self, domain: Domain, current: OwnVolume) -> None:
        connection, actions = self._hosts.connection(domain.key.connection), actions_on(self._hosts, domain)
        name = volume_name(domain.name, domain.key.uuid, Role.ROOT, "whole.qcow2", current.revision)
        whole = replace(current, name=name, backing="", digest="", unfinished=True)
        async with domain_lock(domain.key.uuid, domain.name):
            await actions.edit_config(put(whole))
        volume = await volume_store.copy_volume(connection, current, name)

        def swap(document: "DomainEdit") -> None:
            put(replace(whole, unfinished=False), replace(current, role=Role.BASE))(document)
            disk = document.config.disk(Role.ROOT)
            if disk and image_name(disk.source) == current.name:
                document.set_disk_source(disk.target, volume.path, whole.format)

        async with domain_lock(domain.key.uuid, domain.name):
            await actions.edit_config(swap)
            await self._hosts.refresh(domain.key)

    async def _delete_superfluous(self, key: DomainKey) -> list[str]:
        async with domain_lock(key.uuid, self._store.require(key).name):
            # Somebody else may have made a domain that stands on these volumes, of which nothing was heard here.
            await self._hosts.refresh_host(key.connection)
            domain, everyone = self._store.require(key), self._store.of_host(key.connection)
            config = domain.config
            if not are_known(everyone):
                return []
            dependents = [d for d in everyone if d.config.template_uuid == key.uuid]
            for dependent in dependents:
                if not dependent.state.is_active and not dependent.config.job:
                    await self.point_at_current(dependent, domain)
                    await self._hosts.refresh(dependent.key)
            everyone = self._store.of_host(key.connection)
            used = images_in_use(everyone) | needed_by_others(domain, everyone)
            limits = (config.revision, config.trial, config.keep_revisions)
            gone = superfluous(config.volumes, *limits, used)
            # What others still stand on is no revision to go back to any more.
            bases = [replace(v, role=Role.BASE) for v in past(config.volumes, *limits) if v not in gone]
            if bases:
                await actions_on(self._hosts, domain).edit_config(put(*bases))
            await self._delete(domain, gone)
            await self._hosts.refresh(key)
            return [v.name for v in gone]

    async def _delete(self, domain: Domain, volumes: list[OwnVolume]) -> None:
        """Delete volumes of a domain; a crash in between leaves them recorded as unfinished."""
        if not volumes:
            return
        actions = actions_on(self._hosts, domain)
        await actions.edit_config(put(*(replace(v, unfinished=True) for v in volumes)))
        connection = self._hosts.connection(domain.key.connection)
        for volume in volumes:
            await volume_store.delete_volume(connection, volume.pool, volume.name)
        await actions.edit_config(drop(v.name for v in volumes))
        await self._hosts.refresh(domain.key)


def needs_settling(domain: Domain) -> bool:
    """Whether a template's run has ended and nobody has decided yet what becomes of it."""
    return bool(domain.config.trial) and not domain.state.is_active and not domain.stale


def _commit(document: "DomainEdit") -> None:
    written = document.config.trial
    edit = document.metadata()
    edit.set_number("revision", written)
    edit.set_number("trial", 0)
