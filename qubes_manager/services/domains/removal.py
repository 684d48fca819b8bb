"""Taking domains away with all that is theirs."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Activity, Domain, DomainKey, DomainState, Job
from qubes_manager.core.errors import Refused
from qubes_manager.core.image_use import RemovalPlan, removal_plan, used
from qubes_manager.core.sizes import format_size
from qubes_manager.core.volumes import is_our_name
from qubes_manager.services.domains.undoing import finish_removal, take_away
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.image_uses import ImageUses
from qubes_manager.services.hosts.store import DomainStore, refuse_running
from qubes_manager.services.volumes.template_roots import TemplateRoots
from qubes_manager.services.volumes.volume_records import put


class Removal:
    """Removes domains, with the volumes that were made for them; *forget* then takes away what else there is of one."""

    def __init__(
        self,
        hosts: Hosts,
        store: DomainStore,
        uses: ImageUses,
        roots: TemplateRoots,
        forget: Callable[[Domain], Awaitable[object]],
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._uses = uses
        self._roots = roots
        self._forget = forget

    async def describe_loss(self, domain: Domain, going: Collection[DomainKey] = ()) -> str:
        """Say in words what removing a domain destroys, and what stays; those *going* are removed with it.

        Raises what the removal would: Refused, NotFound, HostCallFailed.
        """
        domain = await self._read(domain.key)
        saved = domain.state is DomainState.SAVED
        memory = "Its saved state is lost, with the programs and unsaved work in it. " if saved else ""
        return memory + await self._describe_disks(domain, going)

    async def _describe_disks(self, domain: Domain, going: Collection[DomainKey]) -> str:
        if not domain.config.volumes and not domain.config.disks:
            return "It has no disks."
        if not domain.config.volumes:
            return "Its disk images, which this program did not make, stay where they are."
        connection = self._hosts.connection(domain.key.connection)
        plan = await self._plan(domain, going)
        sizes = [await volume_store.volume_sizes(connection, v.pool, v.name) for v in plan.deleted]
        taken = sum(size.allocation for size in sizes if size)
        missing = [v.name for v, size in zip(plan.deleted, sizes, strict=True) if size is None]
        gone = f" {', '.join(missing)} is not there any more." if missing else ""
        return f"Its disks go with it: {format_size(taken)} of data are lost.{gone}"

    async def remove(self, key: DomainKey) -> None:
        """Remove a halted domain and the volumes that were made for it; raises Refused, NotFound, HostCallFailed.

        Volumes that other domains' volumes stand on stay, and become theirs. A removal that fails leaves the domain
        with what is left of it.
        """
        domain = await self._read(key)
        refuse_removal(domain, self._store.of_host(key.connection))
        with self._store.activity(key, Activity.REMOVING):
            async with domain_lock(key.uuid, domain.name):
                # Others may have changed it, or made something of it, before the lock was ours.
                domain = await self._read(key)
                refuse_removal(domain, self._store.of_host(key.connection))
                await self._remove(domain)
        await self._hosts.refresh(key)
        await self._forget(domain)

    async def _read(self, key: DomainKey) -> Domain:
        """The domain as it is now: one that was not read yet has volumes that nobody here knows of."""
        await self._hosts.refresh(key)
        domain = self._store.require(key)
        if not domain.is_read:
            raise Refused(f"“{domain.name}” cannot be removed yet: what is its own has not been read; try again")
        return domain

    async def _plan(self, domain: Domain, going: Collection[DomainKey] = ()) -> RemovalPlan:
        """What becomes of its volumes: the one rule, for the question as for the deed."""
        await self._uses.require_own_disks(domain.key)
        uri, volumes = domain.key.connection, domain.config.volumes
        files = await self._uses.of_volumes(uri, volumes)
        uses = await self._uses.of_host(uri)
        # All was read again: it may have been started, or changed, since.
        domain = self._store.require(domain.key)
        going = {*going, *(d.key for d in self._waiting(domain))}
        others = [d for d in self._store.of_host(uri) if d.key not in going]
        refuse_removal(domain, others)
        # Others may have written the record: what is not called as ours are must at least be something that it has.
        has = used(volumes, files, [u for u in uses if u.key == domain.key])
        own = tuple(v for v in volumes if is_our_name(v.name) or v.name in has)
        moving = {d.key for d in self._roots.starting_elsewhere(domain)}
        staying = [u for u in uses if u.key not in going and not (u.renewed and u.key in moving)]
        return removal_plan(replace(domain, config=replace(domain.config, volumes=own)), others, files, staying)

    def _waiting(self, domain: Domain) -> list[Domain]:
        """The disposables of a domain that nobody uses yet, which go with it."""
        return [
            d
            for d in self._store.of_host(domain.key.connection)
            if d.only_waits and d.config.template_uuid == domain.key.uuid
        ]

    async def _remove(self, domain: Domain) -> None:
        for waiting in self._waiting(domain):
            await actions_on(self._hosts, waiting).kill()
            await self._hosts.refresh(waiting.key)
        if not domain.config.volumes:
            await take_away(self._hosts.connection(domain.key.connection), domain.key.uuid, domain.name, ())
            return
        plan = await self._plan(domain)
        for other in self._roots.starting_elsewhere(domain):
            await self._roots.point_at_own_template(other)
        for key, bases in plan.heirs.items():
            await actions_on(self._hosts, self._store.require(key)).edit_config(put(*bases))
            await self._hosts.refresh(key)
        # Nothing is dropped from the record: called off, the domain has what it had, which others may share by now.
        await actions_on(self._hosts, domain).edit_metadata(lambda edit: edit.set_job(Job.REMOVE))
        await finish_removal(self._hosts, domain, plan.deleted)


def refuse_removal(domain: Domain, others: Sequence[Domain]) -> None:
    """Raise Refused when *domain* runs, or when some of *others* need it, naming them."""
    if domain.is_host:
        raise Refused("dom0 is this machine; it cannot be removed")
    refuse_running(domain)
    made = (d for d in others if d.is_disposable and not d.only_waits)
    if running := sorted(d.name for d in made if d.config.template_uuid == domain.key.uuid):
        raise Refused(f"disposables of “{domain.name}” run, so it cannot be removed: end {', '.join(running)} first")
    for role, names in _users(domain, others).items():
        if names:
            words = role.replace("_", " ")
            raise Refused(f"“{domain.name}” is the {words} of {', '.join(names)}: give them another one first")


def _users(domain: Domain, others: Sequence[Domain]) -> dict[str, list[str]]:
    """The names of those of *others* that need *domain*, by what it is to them."""
    users = {
        role: sorted(
            other.name
            for other in others
            # A name alone may be another domain's by now.
            if not other.only_waits
            and (getattr(other.config, f"{role}_uuid") or getattr(other.config, role)) in (domain.key.uuid, domain.name)
        )
        for role in ("template", "default_dispvm")
    }
    return {**users, "netvm": sorted(other.name for other in others if _is_netvm(domain, other))}


def _is_netvm(domain: Domain, other: Domain) -> bool:
    """Whether *other*'s network goes through *domain*; a network of libvirt's may only have the same name."""
    return other.config.via == domain.key.uuid


def in_removal_order(domains: Iterable[Domain]) -> list[Domain]:
    """The domains in an order in which all can be removed: those that need others first."""
    left, ordered = list(domains), []
    while left:
        free = [d for d in left if not any(_users(d, [o for o in left if o is not d]).values())]
        # Domains that need each other: the first will be refused, by name.
        ordered += free or left
        left = [d for d in left if d not in ordered]
    return ordered


def netvm_users(domain: Domain, others: Sequence[Domain]) -> list[str]:
    """The names of running domains whose network goes through *domain*."""
    return [d.name for d in others if _is_netvm(domain, d) and d.state.is_active]
