"""Following the brokers of all connections that have something to carry."""

from qubes_manager.services.crossing.address import can_carry
from qubes_manager.services.crossing.links import BrokerLinks
from qubes_manager.services.hosts.store import Batch, DomainStore


async def follow_brokers(links: BrokerLinks, store: DomainStore) -> None:
    """See that there is a broker where it is needed, and follow it, until cancelled.

    That is where a domain runs that can ask something of it, and where disposables may be kept ready.
    """

    def on_batch(batch: Batch) -> None:
        news = (d for d in (*batch.added, *batch.changed) if not d.stale)
        uris = {d.key.connection for d in news if d.has_crossing or d.config.template_for_dispvms}
        for uri in filter(can_carry, uris):
            links.want(uri)

    disconnect = store.on_batch(on_batch)
    try:
        await links.run()
    finally:
        disconnect()
