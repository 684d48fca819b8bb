"""Domains that are the network of others: who is whose, and that none is its own."""

from collections.abc import Collection, Iterator

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.networks import check_netvm
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.interfaces import Interface
from qubes_manager.services.hosts.store import DomainStore


def provider_named(store: DomainStore, uri: str, name: str) -> Domain | None:
    """Return the domain of a name that may be the network of others; None where the name means something else."""
    domain = store.named(uri, name) if name and Interface("network", name).netvm == name else None
    return domain if domain and domain.config.provides_network and not domain.is_host else None


async def check_network(connection: LibvirtConnection, store: DomainStore, netvm: str) -> None:
    """Raise BadInput where *netvm* means no network of this machine's, with what a domain of that name is short of."""
    try:
        await check_netvm(connection, netvm)
    except BadInput:
        domain = store.named(connection.uri, netvm)
        if domain is None or domain.is_host:
            raise
        how = f"allow that first (qvm-prefs {netvm} provides_network True)"
        raise BadInput("netvm", netvm[:80], f"“{netvm}” provides no network: {how}") from None


def provider_of(store: DomainStore, domain: Domain) -> Domain | None:
    """Return the domain whose network *domain* has; None where it has this machine's, or the other is gone."""
    return store.get(DomainKey(domain.key.connection, domain.config.via)) if domain.config.via else None


def way_out(store: DomainStore, domain: Domain) -> Iterator[Domain]:
    """The domains that a domain's network goes through, the nearest first; one of a loop comes once."""
    seen = {domain.key}
    while (provider := provider_of(store, domain)) and provider.key not in seen:
        seen.add(provider.key)
        yield provider
        domain = provider


def refuse_loop(store: DomainStore, domain: Domain, provider: Domain) -> None:
    """Raise Refused where *domain* would be its own network by way of *provider*."""
    way = [provider, *way_out(store, provider)]
    if domain.key in [other.key for other in way]:
        names = " → ".join(other.name for other in (domain, *way))
        raise Refused(f"“{domain.name}” would be its own network: {names}")


def who_loses_network(going: Collection[Domain], others: Collection[Domain]) -> str:
    """Which running domains have no network when all of *going* have ended, in words; empty for none."""
    keys = {domain.key for domain in going}
    names = {
        client.name
        for domain in going
        for client in clients_of(domain, others)
        if client.state.is_active and client.key not in keys
    }
    return f"{', '.join(sorted(names))} will have no network until it runs again." if names else ""


def clients_of(domain: Domain, others: Collection[Domain]) -> list[Domain]:
    """Those of *others* whose network is that of *domain*, by name."""
    return sorted((d for d in others if d.config.via == domain.key.uuid), key=lambda d: d.name)
