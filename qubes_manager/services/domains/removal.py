"""Taking domains away with all that is theirs."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from qubes_manager.backend.storage import volume_store
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.domain import Activity, Domain, DomainKey, Job
from qubes_manager.core.errors import Refused
from qubes_manager.core.sizes import format_size
from qubes_manager.core.volume_use import are_known, may_carry_others, needed_by_others
from qubes_manager.core.volumes import OwnVolume, Role, chain
from qubes_manager.services.domains.undoing import take_away
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, refuse_running
from qubes_manager.services.volumes.volume_records import drop, put


class Removal:
    """Removes domains, with the volumes that were made for them; *forget* then takes away what else there is of one."""

    def __init__(self, hosts: Hosts, store: DomainStore, forget: Callable[[Domain], Awaitable[object]]) -> None:
        self._hosts = hosts
        self._store = store
        self._forget = forget

    async def describe_loss(self, domain: Domain) -> str:
        """Say in words what removing a domain destroys, and what stays; raises Refused, NotFound."""
        domain = await self._read(domain.key)
        volumes = domain.config.volumes
        if not volumes:
            return "Its disk images, which this program did not make, stay where they are."
        connection = self._hosts.connection(domain.key.connection)
        needed = needed_by_others(domain, self._store.of_host(domain.key.connection))
        sizes = [await volume_store.volume_sizes(connection, v.pool, v.name) for v in volumes if v.name not in needed]
        taken = sum(size.allocation for size in sizes if size)
        return f"Its disks go with it: {format_size(taken)} of data are lost."

    async def remove(self, key: DomainKey) -> None:
        """Remove a halted domain and the volumes that were made for it; raises Refused, NotFound.

        Volumes that other domains stand on stay, and become theirs.
        """
        domain = await self._read(key)
        refuse_removal(domain, self._store.of_host(key.connection))
        with self._store.activity(key, Activity.REMOVING):
            async with domain_lock(key.uuid, domain.name):
                # Others may have changed it, or made something of it, before the lock was ours.
                domain = await self._read(key)
                if may_carry_others(domain.config.volumes):
                    await self._hosts.refresh_host(key.connection)
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

    async def _remove(self, domain: Domain) -> None:
        connection = self._hosts.connection(domain.key.connection)
        volumes = domain.config.volumes
        if volumes:
            kept = await self._hand_over(domain, volumes)
            volumes = tuple(v for v in volumes if v.name not in kept)
            actions = actions_on(self._hosts, domain)

            def begin(document) -> None:  # type: ignore[no-untyped-def]
                drop(kept)(document)
                document.metadata().set_job(Job.REMOVE)

            await actions.edit_config(begin)
        await take_away(connection, domain.key.uuid, domain.name, volumes)

    async def _hand_over(self, domain: Domain, volumes: Sequence[OwnVolume]) -> set[str]:
        """Record the volumes that others stand on with one of them; returns their names."""
        others = [d for d in self._store.of_host(domain.key.connection) if d.key != domain.key]
        if not are_known(others):
            raise Refused(f"“{domain.name}” cannot be removed yet: not all domains have been read; try again")
        kept: set[str] = set()
        for other in others:
            for own in other.config.volumes:
                below = [v for v in chain(own.backing, volumes) if v.name not in kept]
                if below:
                    bases = [_as_base(v) for v in below]
                    await actions_on(self._hosts, other).edit_config(put(*bases))
                    await self._hosts.refresh(other.key)
                    kept |= {v.name for v in below}
        return kept


def _as_base(volume: OwnVolume) -> OwnVolume:
    return OwnVolume(Role.BASE, volume.pool, volume.name, backing=volume.backing)


def refuse_removal(domain: Domain, others: Sequence[Domain]) -> None:
    """Raise Refused when *domain* runs, or when some of *others* need it, naming them."""
    if domain.is_host:
        raise Refused("dom0 is this machine; it cannot be removed")
    refuse_running(domain)
    for role, names in _users(domain, others).items():
        if names:
            words = role.replace("_", " ")
            raise Refused(f"“{domain.name}” is the {words} of {', '.join(names)}: give them another one first")


def _users(domain: Domain, others: Sequence[Domain]) -> dict[str, list[str]]:
    """The names of those of *others* that need *domain*, by what it is to them."""
    uuid = domain.key.uuid
    return {
        role: sorted(
            other.name
            for other in others
            if getattr(other.config, role) == domain.name or uuid == getattr(other.config, f"{role}_uuid", None)
        )
        for role in ("template", "netvm", "default_dispvm")
    }


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
    return [d.name for d in others if d.config.netvm == domain.name and d.state.is_active]
