"""Calls between this machine and a guest: the host asks a domain for a service."""

import asyncio

from qubes_manager.core.crossing.guest_messages import REFUSED, Start
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError, Refused, TimedOut
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_line
from qubes_manager.services.broker.guests.conversation import HostConversation
from qubes_manager.services.broker.guests.data_ports import WantedPort, take_all
from qubes_manager.services.broker.guests.guest_end import GuestEnd
from qubes_manager.services.broker.guests.sessions import Sessions

# Seconds to wait for a guest's tools, for a data port, and for the guest to open it.
PATIENCE, PORT_PATIENCE, READY_PATIENCE = 60.0, 60.0, 60.0
# Seconds for a domain that was only just started until its tools have answered.
START_PATIENCE = 300.0


class HostCalls:
    """Starts services in running domains, with this machine as the other side; no policy stands before it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def open(
        self,
        key: DomainKey,
        service: str,
        argument: str = "",
        *,
        user: str = "",
        source: str = HOST_NAME,
        patience: float = PATIENCE,
    ) -> HostConversation:
        """Start a service in a domain that runs and has our tools; *source* is who it is told to be for.

        Waits until the domain's tools have said that they are there (*patience* seconds), and for a free data port.
        Raises GuestError, Refused, TimedOut.
        """
        session = await self._sessions.ready(key, patience)
        # It hears from here on when the guest goes away.
        end = GuestEnd(session, session.new_number())
        try:
            [port] = await take_all([WantedPort(end.name, session.ports, end.raise_fault)], PORT_PATIENCE)
            await end.connect(port)
            end.begin(Start(end.number, service, argument, source, session.wire_name, port.number, user))
            conversation = HostConversation(end)
            await end.until_begun(READY_PATIENCE)
        except BaseException:
            end.tell_cancel("")
            end.close()
            raise
        return conversation

    async def ask(
        self, key: DomainKey, service: str, argument: str = "", data: bytes = b"", *, limit: int, timeout: float = 20
    ) -> bytes:
        """Give *data* to a service and return what it says, at most *limit* bytes, within *timeout* seconds.

        Raises GuestError when it fails or says more, Refused, TimedOut.
        """
        end = asyncio.get_running_loop().time() + timeout
        # Where there are no tools, this says so.
        await self._sessions.ready(key, timeout)
        try:
            async with asyncio.timeout_at(end):
                return await self._ask(key, service, argument, data, limit)
        except TimeoutError:
            domain = self._sessions.name_of(key)
            raise TimedOut(f"“{domain}” has not answered within {timeout:.0f} s") from None

    async def _ask(self, key: DomainKey, service: str, argument: str, data: bytes, limit: int) -> bytes:
        async with await self.open(key, service, argument) as conversation:
            name = self._sessions.name_of(key)
            await conversation.write(data)
            await conversation.finish()
            answer = bytearray()
            while piece := await conversation.read():
                answer += piece
                if len(answer) > limit:
                    raise GuestError(f"“{name}” answers with more than {limit} bytes")
            result = await conversation.result()
            reason = result.reason or one_line(conversation.error_text) or f"{service} failed in “{name}”"
            if result.code == REFUSED:
                raise Refused(reason)
            if result.code:
                raise GuestError(reason)
            return bytes(answer)
