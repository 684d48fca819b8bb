"""One line to a host, with the callbacks on it, from its opening until it is closed."""

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import libvirt

from qubes_manager.backend.connection.subscriptions import Emit, Subscriptions
from qubes_manager.core.errors import HostUnreachable
from qubes_manager.core.events import HostEvent, HostEventKind

T = TypeVar("T")
Opener = Callable[[str], libvirt.virConnect]
_CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "an error on the line",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the host ended it",
    libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT: "closed by us",
}


class Line:
    """What comes of one call of *opener*. With *emit* it also hears events, which come in libvirt's event thread.

    Whoever waits for it to open may give up at any time; what opens late is closed again.
    """

    def __init__(self, uri: str, opener: Opener, emit: Emit | None) -> None:
        self._uri = uri
        self._opener = opener
        self._emit = emit
        self._subscriptions: Subscriptions | None = None
        self._lock = threading.Lock()
        self._is_open = False
        self._is_closing = False
        # How many calls are on it now.
        self._calls = 0
        self.is_wanted = True
        # libvirt's connection, once it is open.
        self.raw: libvirt.virConnect = None

    def open(self) -> None:
        """Connect and register the callbacks; raises libvirtError. Blocks."""
        self.raw = self._opener(self._uri)
        try:
            if self._emit and self.is_wanted:
                self._register(self._emit)
        except BaseException:
            self.close()
            raise
        with self._lock:
            self._is_open = self.is_wanted
        if not self._is_open:
            self.close()

    def give_up(self) -> bool:
        """Let nobody hear from it any more; returns whether it is open, and the caller's to close."""
        with self._lock:
            self.is_wanted = False
            return self._is_open

    def call(self, func: Callable[..., T], *args: object) -> T:
        """Run ``func(connection, *args)``; raises HostUnreachable after ``close``. Blocks."""
        with self._lock:
            if self._is_closing:
                raise HostUnreachable("the connection to the host is gone")
            self._calls += 1
        try:
            return func(self.raw, *args)
        finally:
            with self._lock:
                self._calls -= 1
                is_last = self._is_closing and not self._calls
            if is_last:
                self._close()

    def close(self) -> None:
        """Close the connection, or let the last call on it do so: libvirt frees it under a call that hangs. Blocks."""
        with self._lock:
            self._is_closing = True
            if self._calls:
                return
        self._close()

    def _close(self) -> None:
        """Take the callbacks away, which hold the connection, and close it."""
        if self._subscriptions:
            # Not every driver has had one to register.
            with contextlib.suppress(libvirt.libvirtError):
                self.raw.unregisterCloseCallback()
            self._subscriptions.deregister()
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.close()

    def _register(self, emit: Emit) -> None:
        self._subscriptions = Subscriptions(self.raw, emit)
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.registerCloseCallback(
                lambda _c, reason, _o: emit(HostEvent(HostEventKind.CLOSED, _CLOSE_REASONS.get(reason, "")), None), None
            )
        self._subscriptions.register()
