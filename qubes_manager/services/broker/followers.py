"""Who hears of what happens in the broker."""

from collections.abc import Callable, Iterable

from qubes_manager.core.crossing.broker_messages import Answer, News
from qubes_manager.core.service_messages import Done, Follow
from qubes_manager.core.signal import Signal
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.programs.client import Client


class Followers:
    """The clients that have asked for news; *standing* is what a new one hears first: how all stands now."""

    def __init__(self, standing: Callable[[], Iterable[News]]) -> None:
        self._standing = standing
        self._clients: set[Client] = set()
        # The same that the clients hear.
        self.told = Signal[News]()

    def serve(self, requests: Requests) -> None:
        """Let clients follow."""
        requests.serve(Follow, self._follow)

    def tell(self, news: News) -> None:
        """Tell all who follow."""
        for client in self._clients:
            client.send(news)
        self.told.emit(news)

    def leave(self, client: Client) -> None:
        """A client has gone."""
        self._clients.discard(client)

    async def _follow(self, client: Client, _request: Follow) -> Answer:
        self._clients.add(client)
        for news in self._standing():
            client.send(news)
        return Done()
