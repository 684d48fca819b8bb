"""One connection to a libvirt host: opening it, calling through it, hearing from it."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import libvirt

from qubes_manager.backend.connection.call_threads import CALL_TIMEOUT, CallThreads
from qubes_manager.backend.connection.event_thread import ensure_event_thread
from qubes_manager.backend.connection.line import Line, Opener
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.core.errors import HostUnreachable, NotFound, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event
from qubes_manager.core.signal import Signal

log = logging.getLogger(__name__)

T = TypeVar("T")
OPEN_TIMEOUT, CLOSE_TIMEOUT = 20.0, 5.0


class LibvirtConnection:
    """Talks to the libvirt at *uri*. With *watch* it also hears events; *opener* makes the first connection.

    Knows libvirt's handle of every domain it was told of. All methods belong to the asyncio loop; blocking
    calls happen in threads of its own.
    """

    def __init__(self, uri: str, *, watch: bool, opener: Opener | None = None) -> None:
        self._opener = opener or libvirt.open
        self.uri = uri
        self.handles: dict[str, Handle] = {}
        self._watch = watch
        self._line: Line | None = None
        self._threads = CallThreads("calls")
        self._heard = Signal[Event]()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made now."""
        return self._line is not None

    async def open(self) -> None:
        """Connect; raises HostUnreachable or TimedOut."""
        if self._watch:
            ensure_event_thread()
        # Threads that hang in calls to a dead host are left behind with it.
        self._threads.close()
        self._threads = CallThreads("calls")
        line = self._new_line(asyncio.get_running_loop())
        try:
            await self._threads.run(f"connect to {self.uri}", line.open, timeout=OPEN_TIMEOUT)
        except BaseException:
            # An attempt that is abandoned goes on in its thread, which closes what it opens late.
            if line.give_up():
                threading.Thread(target=line.close, daemon=True).start()
            raise
        self._line = line
        log.info("connected to %s", self.uri)

    async def close(self) -> None:
        """End the connection; what still runs on it fails. A host that hangs is left after CLOSE_TIMEOUT seconds."""
        line, self._line = self._line, None
        self.handles.clear()
        try:
            if line and line.give_up():
                with contextlib.suppress(TimedOut):
                    await self._threads.run(f"leave {self.uri}", line.close, timeout=CLOSE_TIMEOUT, always=True)
        finally:
            self._threads.close()

    async def call(self, what: str, func: Callable[..., T], *args: object, timeout: float | None = CALL_TIMEOUT) -> T:
        """Run ``func(connection, *args)`` in a thread; raises our own errors only. *timeout* is in seconds."""
        if self._line is None:
            raise HostUnreachable(f"cannot {what}: not connected to {self.uri}")
        return await self._threads.run(what, func, self._line.raw, *args, timeout=timeout)

    async def on_domain(
        self, uuid: str, what: str, func: Callable[..., T], *args: object, timeout: float | None = CALL_TIMEOUT
    ) -> T:
        """Run ``func(domain, *args)`` in a thread on the domain with that UUID; raises NotFound when it is gone."""
        handle = self.handles.get(uuid)
        if handle is None:
            raise NotFound(f"cannot {what}: the domain does not exist any more")
        return await self.call(what, lambda _connection: func(handle, *args), timeout=timeout)

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

    def _on_event(self, line: Line, event: Event, handle: Handle | None) -> None:
        if not line.is_wanted:
            return
        if isinstance(event, DomainEvent) and handle is not None and event.kind is not DomainEventKind.UNDEFINED:
            # The handle of an event carries the domain's current name and id.
            self.handles[event.uuid] = handle
        self.announce(event)
