"""One connection to a libvirt host: opening it, calling through it, hearing from it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import libvirt

from qubes_manager.backend.connection.call_threads import CALL_TIMEOUT, CallThreads
from qubes_manager.backend.connection.event_thread import ensure_event_thread
from qubes_manager.backend.connection.subscriptions import Handle, Subscriptions
from qubes_manager.core.errors import HostUnreachable, NotFound
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind
from qubes_manager.core.signal import Signal

log = logging.getLogger(__name__)

T = TypeVar("T")
Opener = Callable[[str], libvirt.virConnect]
OPEN_TIMEOUT = 20.0
# A peer that is silent for 5 × 5 s is gone (virConnectSetKeepAlive).
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 5, 5
_CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "an error on the line",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the host ended it",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "the host does not answer",
    libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT: "closed by us",
}


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
        self._raw: libvirt.virConnect | None = None
        self._threads = CallThreads("calls")
        self._subscriptions: Subscriptions | None = None
        self._heard = Signal[Event]()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made now."""
        return self._raw is not None

    async def open(self) -> None:
        """Connect; raises HostUnreachable or TimedOut."""
        if self._watch:
            ensure_event_thread()
        # Threads that hang in calls to a dead host are left behind with it.
        self._threads.close()
        self._threads = CallThreads("calls")
        loop = asyncio.get_running_loop()
        # An abandoned attempt, one that timed out, closes what it opened late.
        wanted = [True]
        try:
            raw, subscriptions = await self._threads.run(
                f"connect to {self.uri}", self._open_now, loop, wanted, timeout=OPEN_TIMEOUT
            )
        except BaseException:
            wanted[0] = False
            raise
        self._raw, self._subscriptions = raw, subscriptions
        log.info("connected to %s", self.uri)

    async def close(self) -> None:
        """End the connection; what still runs on it fails."""
        raw, self._raw = self._raw, None
        subscriptions, self._subscriptions = self._subscriptions, None
        self.handles.clear()
        if raw is None:
            return

        def close_now() -> None:
            with contextlib.suppress(libvirt.libvirtError):
                if subscriptions:
                    raw.unregisterCloseCallback()
                    subscriptions.deregister()
                raw.close()

        with contextlib.suppress(Exception):
            await self._threads.run(f"leave {self.uri}", close_now, timeout=5)
        self._threads.close()

    async def call(self, what: str, func: Callable[..., T], *args: object, timeout: float | None = CALL_TIMEOUT) -> T:
        """Run ``func(connection, *args)`` in a thread; raises our own errors only. *timeout* is in seconds."""
        if self._raw is None:
            raise HostUnreachable(f"cannot {what}: not connected to {self.uri}")
        return await self._threads.run(what, func, self._raw, *args, timeout=timeout)

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

    def _open_now(
        self, loop: asyncio.AbstractEventLoop, wanted: list[bool]
    ) -> tuple[libvirt.virConnect, Subscriptions | None]:
        opener, self._opener = self._opener, libvirt.open
        raw = opener(self.uri)
        if not wanted[0]:
            raw.close()
        if not self._watch:
            return raw, None

        def emit(event: Event, handle: Handle | None) -> None:
            # The loop is closed when the program ends; libvirt's thread may still have something to say.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._hear, raw, event, handle)

        with contextlib.suppress(libvirt.libvirtError):
            raw.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
        with contextlib.suppress(libvirt.libvirtError):
            raw.registerCloseCallback(
                lambda _c, reason, _o: emit(HostEvent(HostEventKind.CLOSED, _CLOSE_REASONS.get(reason, "")), None), None
            )
        subscriptions = Subscriptions(raw, emit)
        subscriptions.register()
        return raw, subscriptions

    def _hear(self, raw: libvirt.virConnect, event: Event, handle: Handle | None) -> None:
        if raw is not self._raw and self._raw is not None:
            return
        if isinstance(event, DomainEvent) and handle is not None and event.kind is not DomainEventKind.UNDEFINED:
            # The handle of an event carries the domain's current name and id.
            self.handles[event.uuid] = handle
        self.announce(event)
