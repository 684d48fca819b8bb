"""The screens where questions and notices may come."""

from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.service_messages import Done
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.programs.client import Client


class Screens:
    """Those that connected clients have offered; the newest one counts."""

    def __init__(self) -> None:
        self._offers: dict[Client, OfferScreen] = {}

    def serve(self, requests: Requests) -> None:
        """Let clients offer theirs."""
        requests.serve(OfferScreen, self._on_offer)

    @property
    def current(self) -> OfferScreen | None:
        """Where to ask now; None when nobody could see it."""
        return next(reversed(self._offers.values()), None)

    @property
    def newest_first(self) -> list[OfferScreen]:
        """All, each of them once."""
        return list(dict.fromkeys(reversed(self._offers.values())))

    def offer(self, client: Client, screen: OfferScreen) -> None:
        """A client has a screen."""
        self.withdraw(client)
        self._offers[client] = screen

    def withdraw(self, client: Client) -> None:
        """A client has gone, and its word does not count any more."""
        self._offers.pop(client, None)

    async def _on_offer(self, client: Client, screen: OfferScreen) -> Done:
        self.offer(client, screen)
        return Done()
