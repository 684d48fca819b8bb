"""Links to a broker that is not there: what it would be asked is kept, and answered as a test says."""

from typing import Any

from qubes_manager.core.crossing.broker_messages import Request
from qubes_manager.core.crossing.clipboard_messages import ClipboardSaid
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks


class SilentLink(BrokerLink):
    """Starts nothing and asks nobody."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.asked: list[Request] = []
        self.answer: Any = ClipboardSaid("It is done.")
        self.fails = ""

    async def ensure(self) -> None:
        """There is none to start."""

    async def do(self, request: Request, patience: float = 0) -> None:
        """Keep the request."""
        self._keep_request(request)

    async def ask(self, request: Request, kind: Any, patience: float | None = 0) -> Any:
        """Keep the request, and give the answer."""
        self._keep_request(request)
        assert isinstance(self.answer, kind)
        return self.answer

    async def follow(self) -> None:
        """Nobody tells anything."""

    def _keep_request(self, request: Request) -> None:
        self.asked.append(request)
        if self.fails:
            raise QubesManagerError(self.fails)


class SilentLinks(BrokerLinks):
    """Has such links only."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, SilentLink] = {}

    def link(self, uri: str) -> SilentLink:
        """The link of a connection."""
        if uri not in self.made:
            self.made[uri] = SilentLink(uri)
            self.added.emit(self.made[uri])
        return self.made[uri]
