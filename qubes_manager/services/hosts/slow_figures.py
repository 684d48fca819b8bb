"""The figures that cost a call a domain: sizes of its disks, and its addresses, which its guest may have to tell."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from qubes_manager.backend.domains.domain_reader import DiskUse, read_addresses, read_disk_use
from qubes_manager.core.domain import Domain
from qubes_manager.core.volumes import Role
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


async def read_disk_sizes(hosts: Hosts, store: DomainStore, domain: Domain) -> None:
    """Read what a domain's disks take and have into the store; raises NotFound, TimedOut, HostUnreachable."""
    disks = [disk for disk in domain.config.disks if disk.source]
    if not disks:
        return
    private = [disk.target for disk in disks if disk.serial == Role.PRIVATE.value]
    connection = hosts.connection(domain.key.connection)
    use = await read_disk_use(connection, domain.key.uuid, [disk.target for disk in disks])
    _put(
        store,
        domain,
        disk_allocation=_total(use, use, "allocation"),
        disk_capacity=_total(use, use, "capacity"),
        private_allocation=_total(use, private, "allocation"),
        private_capacity=_total(use, private, "capacity"),
    )


async def read_guest_addresses(hosts: Hosts, store: DomainStore, domain: Domain) -> bool:
    """Read a running domain's addresses into the store; returns whether its agent answered.

    Raises NotFound, TimedOut, HostUnreachable.
    """
    found, answered = await read_addresses(hosts.connection(domain.key.connection), domain.key.uuid)
    _put(store, domain, addresses=found)
    return answered


def _put(store: DomainStore, domain: Domain, **figures: object) -> None:
    if newest := store.get(domain.key):
        store.put([replace(newest, usage=replace(newest.usage, **figures))])  # type: ignore[arg-type]


def _total(use: Mapping[str, DiskUse], targets: Iterable[str], figure: str) -> int | None:
    found = [getattr(use[target], figure) for target in targets if target in use]
    return sum(found) if found else None
