"""The ways to the brokers, one for each connection."""

from qubes_manager.core.signal import Signal
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.programs.following import Following


class BrokerLinks:
    """Makes links as they are asked for. ``run`` also follows those that are wanted: for a program that stays."""

    def __init__(self) -> None:
        self._links: dict[str, BrokerLink] = {}
        self._following = Following(lambda uri: self.link(uri).follow())
        # A link was made.
        self.added = Signal[BrokerLink]()

    def link(self, uri: str) -> BrokerLink:
        """The link of a connection."""
        if uri not in self._links:
            self._links[uri] = BrokerLink(uri)
            self.added.emit(self._links[uri])
        return self._links[uri]

    def want(self, uri: str) -> None:
        """Start a connection's broker where there is none, and follow it from now on."""
        self._following.want(uri)

    async def run(self) -> None:
        """Follow what is wanted, until cancelled."""
        await self._following.run()
