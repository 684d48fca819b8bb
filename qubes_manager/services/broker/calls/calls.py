"""Calls that guests make: decided, their target started, joined, ended."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.broker_messages import TransferPhase
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.guest_messages import (
    FAILED,
    FIRST_STARTED,
    MAX_DOMAIN,
    REFUSED,
    Accepted,
    Call,
    Ended,
    ErrorText,
    Start,
)
from qubes_manager.core.crossing.listing import FETCH_SERVICE, LIST_SERVICE
from qubes_manager.core.crossing.services import CLIPBOARD_COPY, CLIPBOARD_PASTE, FILECOPY, OPENING
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import HostCallFailed, HostUnreachable, QubesManagerError
from qubes_manager.core.names import HOST_NAME
from qubes_manager.services.broker.calls.host_services import HostServices
from qubes_manager.services.broker.calls.joined_call import NO_LIMIT, JoinedCall
from qubes_manager.services.broker.calls.targets import Targets
from qubes_manager.services.broker.deciding.decisions import Allowed, Decisions, Denied
from qubes_manager.services.broker.desktop.launches import announce_launch
from qubes_manager.services.broker.guests.conversation import HostConversation, HostService
from qubes_manager.services.broker.guests.data_ports import WantedPort, take_all
from qubes_manager.services.broker.guests.guest_end import GuestEnd
from qubes_manager.services.broker.guests.host_calls import PORT_PATIENCE, READY_PATIENCE, START_PATIENCE
from qubes_manager.services.broker.guests.session import DomainSession
from qubes_manager.services.broker.guests.sessions import Sessions
from qubes_manager.services.broker.transfers import Transfer, Transfers
from qubes_manager.services.crossing.audit import Decider

log = logging.getLogger(__name__)

# Calls of one domain that wait or run.
MOST = 8
# What this machine alone asks of domains, when its user wants it. No domain has it of another, whatever a rule says:
# those about pasting are about the user's keys.
_FOR_HOST = frozenset({CLIPBOARD_COPY, CLIPBOARD_PASTE, FETCH_SERVICE, LIST_SERVICE})
# Bytes that a call may send beyond the size that it told, and an eighth of that: at all, and for each thing's name.
_SPARE, _EACH = 17 << 20, 24 << 10


class Calls:
    """All calls that guests of a connection make.

    *stand_in* finds who serves in the place of a domain that cannot, None where it can.
    """

    def __init__(
        self,
        decisions: Decisions,
        targets: Targets,
        host_services: HostServices,
        transfers: Transfers,
        sessions: Sessions,
        stand_in: Callable[[DomainKey, str], Awaitable[HostService | None]],
    ) -> None:
        self._decisions = decisions
        self._targets = targets
        self._host_services = host_services
        self._transfers = transfers
        self._sessions = sessions
        self._stand_in = stand_in
        self._carrying = Background()
        self._running: dict[DomainSession, int] = {}
        self._is_ending = False
        sessions.called.connect(self._on_call)

    def _on_call(self, session: DomainSession, call: Call) -> None:
        """A guest asks for a service."""
        if other := session.listeners.get(call.call):
            other.fail("its number was used for two calls")
            return
        if call.call >= FIRST_STARTED:
            return
        if self._is_ending:
            session.say(Ended(call.call, FAILED, "the program that carries calls is ending"))
            return
        if self._running.get(session, 0) >= MOST:
            session.say(Ended(call.call, FAILED, f"{MOST} calls of this domain wait or run already"))
            return
        self._running[session] = self._running.get(session, 0) + 1
        self._carrying.spawn(self._carry(session, GuestEnd(session, call.call), call))

    async def close(self) -> None:
        """End all calls, and begin no more."""
        self._is_ending = True
        await self._carrying.close()

    async def _carry(self, session: DomainSession, caller: GuestEnd, call: Call) -> None:
        """See one call through; the caller is told how it ended in any case."""
        task = asyncio.current_task()
        assert task
        caller.fault.add_done_callback(lambda _fault: None if caller.is_over else task.cancel())
        transfer = self._begin(session, caller, call)
        code, reason, told = FAILED, "the program that carries calls has ended", ""
        try:
            ended = await self._decide_and_join(caller, call, transfer)
            code, reason = ended.code, ended.reason
        except Denied as error:
            code, reason = REFUSED, str(error)
        except QubesManagerError as error:
            reason, told = str(error), _told(error)
            if told != reason:
                log.warning("a call of “%s” failed: %s", caller.name, reason)
        except asyncio.CancelledError:
            if not caller.fault.done():
                raise
            reason = caller.fault.result()
        except Exception:
            log.exception("a call of “%s” failed", caller.name)
            reason = "a fault of the program that carries calls; its log has more"
        finally:
            self._running[session] -= 1
            if not self._running[session]:
                del self._running[session]
            if not caller.is_over:
                caller.tell_end(code, told or reason)
                caller.close()
            transfer.failed(reason or f"exit code {code}") if code else transfer.done()

    def _begin(self, session: DomainSession, caller: GuestEnd, call: Call) -> Transfer:
        domain = session.domain
        return self._transfers.begin(
            source=(domain.name, domain.key.uuid),
            target=(call.target, ""),
            service=call.service,
            sentence=_sentence(call),
            phase=TransferPhase.ASKING,
            total=call.size,
            cancel=lambda: caller.fail("you stopped it"),
        )

    async def _decide_and_join(self, caller: GuestEnd, call: Call, transfer: Transfer) -> Ended:
        source = caller.session.domain
        async with self._recording_refusals(source, call):
            if source.only_waits:
                # Each one asks for the time when it has booted, and nobody knows of it yet.
                raise Denied("this disposable is not in use yet", is_told=False)
            if _is_for_host(call):
                raise Denied("only this machine’s user may have that")
        allowed = await self._decisions.decide(source, call)
        # Until then it was the caller's word.
        transfer.to(allowed.target if allowed.is_new else allowed.name, "" if allowed.is_new else allowed.key.uuid)
        if allowed.is_host:
            async with self._recording_refusals(source, call):
                serve = self._host_services.find(call.service)
            return await self._serve(caller, call, transfer, serve, HOST_NAME)

        def tell(text: str) -> None:
            transfer.step(TransferPhase.STARTING, text)
            caller.session.say(ErrorText(caller.number, f"{text}\n"))

        async with AsyncExitStack() as stack:
            async with self._recording_refusals(source, call):
                key = await stack.enter_async_context(self._targets.running(source.key, allowed, tell))
            if stand_in := await self._stand_in(key, call.service):
                transfer.to(self._sessions.name_of(key), key.uuid)
                return await self._serve(caller, call, transfer, stand_in, self._sessions.name_of(key))
            target = await self._answering(key, tell)
            transfer.to(target.domain.name, key.uuid)
            return await self._join(caller, target, call, allowed, transfer)

    @asynccontextmanager
    async def _recording_refusals(self, source: Domain, call: Call) -> AsyncIterator[None]:
        """Record what the block denies, whatever the policy says or has said of it."""
        try:
            yield
        except Denied as error:
            await self._decisions.refused(source, call, error)
            raise

    async def _answering(self, key: DomainKey, tell: Callable[[str], None]) -> DomainSession:
        session = self._sessions.find(key)
        if session is None or not session.is_ready:
            tell(f"waiting for “{self._sessions.name_of(key)}”")
        return await self._sessions.ready(key, START_PATIENCE)

    async def _join(
        self, caller: GuestEnd, target: DomainSession, call: Call, allowed: Allowed, transfer: Transfer
    ) -> Ended:
        callee = GuestEnd(target, target.new_number())
        reason = "the call was given up"
        try:
            await self._connect(caller, callee)
            # Never of what goes through unasked: a guest could call whenever the user types elsewhere.
            if allowed.by is Decider.USER and call.service in OPENING:
                await announce_launch(target.domain.key)
            source, ports = caller.session.wire_name, (caller.port.number, callee.port.number)
            caller.begin(Accepted(call.call, ports[0], target.wire_name))
            callee.begin(Start(callee.number, call.service, call.argument, source, call.target, ports[1], allowed.user))
            await callee.until_begun(READY_PATIENCE)
            await caller.until_begun(READY_PATIENCE)
            transfer.step(TransferPhase.MOVING)
            joined = JoinedCall(caller, callee, transfer.moved, _most_bytes(call))
            ended = await joined.run()
            # It does not wait until a disposable has gone.
            caller.tell_end(ended.code, ended.reason)
            caller.let_go()
        except QubesManagerError as error:
            reason = _told(error)
            raise
        except asyncio.CancelledError:
            if caller.fault.done():
                reason = caller.fault.result()
            raise
        finally:
            if callee.ended.done():
                callee.let_go()
            else:
                callee.tell_cancel(reason)
                callee.close()
        return ended

    async def _connect(self, *ends: GuestEnd) -> None:
        """Connect the data ports of the caller and whom it calls; neither is held while the other one is waited for.

        Who is called keeps one for calls of its own and of this machine: others cannot shut it off.
        """
        wanted = [
            WantedPort(end.name, end.session.ports, end.raise_fault, spare=min(number, 1))
            for number, end in enumerate(ends)
        ]
        ports = await take_all(wanted, PORT_PATIENCE)
        try:
            for end, port in zip(ends, ports, strict=True):
                await end.connect(port)
        except BaseException:
            for port in ports:
                port.close()
            raise

    async def _serve(self, caller: GuestEnd, call: Call, transfer: Transfer, serve: HostService, target: str) -> Ended:
        """Let this machine serve a call, itself or in the place of *target*."""
        await self._connect(caller)
        caller.begin(Accepted(call.call, caller.port.number, target[:MAX_DOMAIN]))
        await caller.until_begun(READY_PATIENCE)
        transfer.step(TransferPhase.MOVING)
        conversation = HostConversation(caller, _most_bytes(call))
        conversation.on_moved = transfer.moved
        result = await serve(caller.session.domain, call, conversation)
        await conversation.finish()
        caller.tell_end(result.code, result.reason)
        caller.let_go()
        return Ended(call.call, result.code, result.reason)


def _told(error: QubesManagerError) -> str:
    """What guests may know of what went wrong: libvirt's words, which are about this machine, are for its user."""
    is_libvirts = isinstance(error, HostCallFailed | HostUnreachable) and error.details
    return "it could not be done on the host; the list of what crosses there says why" if is_libvirts else str(error)


def _most_bytes(call: Call) -> int:
    """What a caller may send that has told how much, which the user may have seen: files grow, and have names."""
    return call.size + call.size // 8 + _SPARE + call.count * _EACH if call.size else NO_LIMIT


def _is_for_host(call: Call) -> bool:
    """Whether it is this machine's user alone who may want that: a guest is not to take the place of files, say."""
    asks_for_place = call.service == FILECOPY and {Clash.REPLACE, Clash.SKIP} & set(call.argument.split("+"))
    return call.service in _FOR_HOST or bool(asks_for_place)


def _sentence(call: Call) -> str:
    """What a call is about, in a few words."""
    if not call.names:
        return call.service
    more = max(call.count, len(call.names)) - 1
    return f"{call.names[0]} and {more} more" if more else call.names[0]
