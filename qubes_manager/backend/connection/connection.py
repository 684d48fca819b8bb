"""One connection to a libvirt host: opening it, calling through it, hearing from it."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import libvirt

from qubes_manager.backend.connection.agent_calls import AgentCalls
from qubes_manager.backend.connection.call_threads import CALL_TIMEOUT, CallThreads
from qubes_manager.backend.connection.event_thread import ensure_event_thread
from qubes_manager.backend.connection.line import Line, Opener
from qubes_manager.backend.connection.pulse import until_silent
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.core.background import Background
from qubes_manager.core.errors import HostUnreachable, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind
from qubes_manager.core.signal import Signal

log = logging.getLogger(__name__)

T = TypeVar("T")
OPEN_TIMEOUT, CLOSE_TIMEOUT = 20.0, 5.0
# At once; the others wait. With them and two agents (AgentCalls) libvirtd still has a turn for one more call of ours.
TRANSFERS = 2


def looked_up(raw: libvirt.virConnect, uuid: str, known: Handle | None) -> Handle:
    """The handle of a domain: the one *known*, or libvirt's, since we may not have been told of it yet.

    A line that was opened again knows none at first. Raises libvirtError. Blocks.
    """
    return known or raw.lookupByUUIDString(uuid)


class LibvirtConnection:
    """Talks to the libvirt at *uri*. With *watch* it also hears events; *opener* makes the first connection.

    Knows libvirt's handle of every domain it was told of. All methods belong to the asyncio loop; blocking
    calls happen in threads of its own.
    """

    def __init__(self, uri: str, *, watch: bool, opener: Opener | None = None) -> None:
        self._opener = opener or libvirt.open
        self.uri = uri
        self.handles: dict[str, Handle] = {}
        # Domains on which a stream is being opened; the thread that opens it takes it out.
        self.opening: set[str] = set()
        self._watch = watch
        self._line: Line | None = None
        self._threads = CallThreads("calls")
        self._transfers = CallThreads("transfers", TRANSFERS)
        self._agent_calls = AgentCalls(self._threads)
        self._heard = Signal[Event]()
        self._pulse = Background()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made now."""
        return self._line is not None

    async def open(self) -> None:
        """Connect; raises HostUnreachable or TimedOut."""
        if self._watch:
            ensure_event_thread()
        # Threads that hang in calls to a dead host are left behind with it.
        self._let_threads_go()
        self._threads = CallThreads("calls")
        self._transfers = CallThreads("transfers", TRANSFERS)
        self._agent_calls = AgentCalls(self._threads)
        line = self._new_line(asyncio.get_running_loop())
        try:
            await self._threads.run(f"connect to {self.uri}", line.open, timeout=OPEN_TIMEOUT)
        except BaseException:
            # An attempt that is abandoned goes on in its thread, which closes what it opens late.
            if line.give_up():
                threading.Thread(target=line.close, daemon=True).start()
            raise
        self._line = line
        if self._watch:
            self._pulse.spawn(self._end_when_silent(line))
        log.info("connected to %s", self.uri)

    async def close(self) -> None:
        """End the connection; what still runs on it fails. A host that hangs is left after CLOSE_TIMEOUT seconds."""
        line, self._line = self._line, None
        self._pulse.cancel()
        self.handles.clear()
        try:
            if line and line.give_up():
                with contextlib.suppress(TimedOut):
                    await self._threads.run(f"leave {self.uri}", line.close, timeout=CLOSE_TIMEOUT, always=True)
        finally:
            self._let_threads_go()

    def _let_threads_go(self) -> None:
        self._threads.close()
        self._transfers.close()

    async def call(self, what: str, func: Callable[..., T], *args: object, timeout: float | None = CALL_TIMEOUT) -> T:
        """Run ``func(connection, *args)`` in a thread; raises our own errors only. *timeout* is in seconds."""
        if self._line is None:
            raise HostUnreachable(f"cannot {what}: not connected to {self.uri}")
        return await self._threads.run(what, self._line.call, func, *args, timeout=timeout)

    async def transfer(self, what: str, func: Callable[[libvirt.virConnect], T]) -> T:
        """Run ``func(connection)``, which may take hours, in a thread that other calls do not wait for."""
        if self._line is None:
            raise HostUnreachable(f"cannot {what}: not connected to {self.uri}")
        return await self._transfers.run(what, self._line.call, func, timeout=None)

    async def on_domain(
        self, uuid: str, what: str, func: Callable[..., T], *args: object, timeout: float | None = CALL_TIMEOUT
    ) -> T:
        """Run ``func(domain, *args)`` in a thread on the domain with that UUID; raises NotFound when it is gone."""
        handle = self.handles.get(uuid)
        return await self.call(what, lambda raw: func(looked_up(raw, uuid, handle), *args), timeout=timeout)

    async def on_agent(self, uuid: str, what: str, func: Callable[[Handle], T], timeout: float) -> T:
        """As ``on_domain``, for a call that waits for the domain's agent; *timeout* counts from when its turn has come.

        However many agents are mute, most of the connection's threads stay free.
        """
        line, handle = self._line, self.handles.get(uuid)
        if line is None:
            raise HostUnreachable(f"cannot {what}: not connected to {self.uri}")
        return await self._agent_calls.run(what, lambda: func(looked_up(line.raw, uuid, handle)), timeout)

    @contextlib.contextmanager
    def listen(self) -> "Iterator[asyncio.Queue[Event]]":
        """Give a queue of the events from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        disconnect = self._heard.connect(queue.put_nowait)
        try:
            yield queue
        finally:
            disconnect()

    def announce(self, event: Event) -> None:
        """Tell all listeners of an event; for those of our own making."""
        self._heard.emit(event)

    def _new_line(self, loop: asyncio.AbstractEventLoop) -> Line:
        opener, self._opener = self._opener, libvirt.open

        def emit(event: Event, handle: Handle | None) -> None:
            # The loop is closed when the program ends; libvirt's thread may still have something to say.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_event, line, event, handle)

        line = Line(self.uri, opener, emit if self._watch else None)
        return line

    async def _end_when_silent(self, line: Line) -> None:
        await until_silent(line)
        self._on_event(line, HostEvent(HostEventKind.CLOSED, "the host does not answer"), None)

    def _on_event(self, line: Line, event: Event, handle: Handle | None) -> None:
        if not line.is_wanted:
            return
        if isinstance(event, DomainEvent) and handle is not None and event.kind is not DomainEventKind.UNDEFINED:
            # The handle of an event carries the domain's current name and id.
            self.handles[event.uuid] = handle
        self.announce(event)
