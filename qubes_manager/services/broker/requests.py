"""Which part of the broker answers which request."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from qubes_manager.core.crossing.broker_messages import Answer, Request
from qubes_manager.core.json_lines import Message
from qubes_manager.services.programs.client import Client

Asked = TypeVar("Asked", bound=Request)
Handler = Callable[[Client, Asked], Awaitable[Answer]]


class Requests:
    """Each part says what it answers; a kind of request has one who answers it."""

    def __init__(self) -> None:
        self._handlers: dict[type[Message], Callable[..., Awaitable[Answer]]] = {}

    @property
    def kinds(self) -> set[type[Message]]:
        """Those that are answered."""
        return set(self._handlers)

    def serve(self, kind: type[Asked], handler: "Handler[Asked]") -> None:
        """Let *handler* answer requests of *kind*; what it raises of our errors is told as the reason."""
        assert kind not in self._handlers, kind
        self._handlers[kind] = handler

    async def answer(self, client: Client, request: Request) -> Answer:
        """Answer a client's request; raises QubesManagerError, OSError."""
        return await self._handlers[type(request)](client, request)
