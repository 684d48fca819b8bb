"""Talking to the broker of a connection; starts it where there is none, also without a screen."""

import asyncio
import logging
import os
from typing import TypeVar

from qubes_manager.core.crossing.broker_messages import (
    MAX_LINE,
    News,
    OfferScreen,
    Request,
    TransferStatus,
    parse_reply,
)
from qubes_manager.core.crossing.session_messages import SessionRules
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.json_lines import BadMessage, Message
from qubes_manager.core.service_messages import Done, Failed, Follow
from qubes_manager.core.signal import Signal
from qubes_manager.services.crossing.address import can_carry, socket_path
from qubes_manager.services.programs.program import Program

log = logging.getLogger(__name__)
_TITLE = "the program that carries things between domains"
_ANSWER_PATIENCE = 60.0
# Seconds before a broker that ended is looked for again.
_RETRY = 2.0
Reply = TypeVar("Reply", bound=Message)


def own_screen() -> OfferScreen | None:
    """The screen of this program; None where there is none."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
    screen = OfferScreen(*(os.environ.get(name, "") for name in names))
    return screen if screen.display or screen.wayland else None


class BrokerLink:
    """The way to the broker of one connection."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._program = Program(_TITLE, ("broker", "--connect", uri), lambda: socket_path(uri), MAX_LINE)
        # What crosses now, by number; kept by ``follow``.
        self.transfers: dict[int, TransferStatus] = {}
        # What the user has said for the session.
        self.session = SessionRules()
        # News of any kind, what is above having been brought up to date; and the broker is gone, and with it all that
        # it had told.
        self.heard = Signal[News]()
        self.lost = Signal[()]()

    async def start(self) -> None:
        """Start the broker where there is none, and do not wait for it; for who starts a domain.

        None is started for a connection whose domains cannot have the ports.
        """
        if can_carry(self.uri):
            await self._program.start()

    async def ensure(self) -> None:
        """Start the broker where there is none, and wait until it answers; raises QubesManagerError."""
        await self._program.ensure()

    async def do(self, request: Request, patience: float = _ANSWER_PATIENCE) -> None:
        """Have something done; raises QubesManagerError with the reason why it is not.

        As long as it takes, questions may come to this program's screen. *patience* is in seconds.
        """
        await self.ask(request, Done, patience)

    async def ask(self, request: Request, kind: type[Reply], patience: float | None = _ANSWER_PATIENCE) -> Reply:
        """Ask for something whose answer is of *kind*; as ``do``, but without *patience* it may take for ever."""
        await self.ensure()
        screen = own_screen()
        line = await self._program.ask([*([screen] if screen else []), request], patience)
        try:
            answer = parse_reply(line or b"")
        except BadMessage as error:
            raise self._program.not_understood(error) from None
        if isinstance(answer, Failed):
            raise QubesManagerError(answer.reason)
        if not isinstance(answer, kind):
            raise BadMessage(f"{_TITLE} answers something else than was asked for")
        return answer

    async def stop(self) -> bool:
        """Have the broker end, with all that crosses now; returns whether it ran. Raises QubesManagerError."""
        return await self._program.end()

    async def follow(self) -> None:
        """Start the broker where there is none, offer it this program's screen, and hear its news until cancelled."""
        screen = own_screen()
        while True:
            try:
                await self.ensure()
                async for line in self._program.news([*([screen] if screen else []), Follow()]):
                    self._on_line(line)
            except (OSError, QubesManagerError) as error:
                log.warning("the broker of %s: %s", self.uri, error)
            self.transfers.clear()
            self.session = SessionRules()
            self.lost.emit()
            await asyncio.sleep(_RETRY)

    def _on_line(self, line: bytes) -> None:
        try:
            message = parse_reply(line)
        except BadMessage as error:
            log.warning("news of the broker of %s are not understood: %s", self.uri, error)
            return
        if isinstance(message, Failed):
            log.warning("the broker of %s cannot be followed: %s", self.uri, message.reason)
        elif isinstance(message, News):
            if isinstance(message, TransferStatus):
                self._keep(message)
            elif isinstance(message, SessionRules):
                self.session = message
            self.heard.emit(message)

    def _keep(self, status: TransferStatus) -> None:
        if status.is_over:
            self.transfers.pop(status.transfer, None)
        else:
            self.transfers[status.transfer] = status
