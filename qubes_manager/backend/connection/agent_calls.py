"""Calls that wait for a guest's agent: few at once and each with an end, since a guest decides whether it answers."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import libvirt

from qubes_manager.backend.connection.call_threads import CallThreads
from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.connection.subscriptions import Handle

T = TypeVar("T")
# Of the connection's threads (call_threads.SIZE): the others stay for what needs no guest.
SLOTS = 2
# Seconds that an agent may take for a short answer.
PATIENCE = 2
# libvirt asks the agent for a sign of life before each command, with the same patience; and a host may be slow itself.
_CALLS, _HOST = 2, 3.0
# Seconds that other clients' commands have afterwards: enough to freeze file systems, and never for ever.
_FOR_OTHERS = 60


class AgentCalls:
    """Lets at most SLOTS calls that wait for agents into the connection's threads, in the order in which they came.

    A slot is free again when its call has come back from libvirt, not when nobody waits for it any more.
    """

    def __init__(self, threads: CallThreads) -> None:
        self._threads = threads
        self._slots = asyncio.Semaphore(SLOTS)

    async def run(self, what: str, func: Callable[[], T], timeout: float) -> T:
        """Run *func* in a thread, *timeout* seconds from when its turn has come; raises as ``CallThreads.run``."""
        loop = asyncio.get_running_loop()
        given_up = threading.Event()

        def call() -> T | None:
            try:
                return None if given_up.is_set() else func()
            finally:
                # The loop may be closed by the time an agent answers.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._slots.release)

        await self._slots.acquire()
        try:
            # "always": whatever happens, the call gives its slot back.
            result = await self._threads.run(what, call, timeout=timeout, always=True)
        finally:
            given_up.set()
        return result  # type: ignore[return-value]  # None only where nobody waits


def patience_for(seconds: int) -> float:
    """The most seconds that a call takes whose agent has *seconds* for each answer."""
    return _CALLS * seconds + _HOST


@contextlib.contextmanager
def agent_may_take(domain: Handle, seconds: int) -> Iterator[None]:
    """Within, libvirt waits at most *seconds* for each answer of the domain's agent (virDomainAgentSetResponseTimeout).

    Without it libvirt waits for an agent that greets and then says nothing for ever, and so does our thread. libvirt
    keeps one time for all clients, and nobody can read what it was. Raises libvirtError.
    """
    _set_time(domain, seconds)
    try:
        yield
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            _set_time(domain, _FOR_OTHERS)


def _set_time(domain: Handle, seconds: int) -> None:
    try:
        domain.agentSetResponseTimeout(seconds, 0)
    except libvirt.libvirtError as error:
        # A driver without agents has none that would let us wait.
        if not is_unsupported(error):
            raise
