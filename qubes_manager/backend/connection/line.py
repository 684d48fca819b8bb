"""One line to a host, with the callbacks on it, from its opening until it is closed."""

import contextlib
import threading
from collections.abc import Callable

import libvirt

from qubes_manager.backend.connection.subscriptions import Emit, Subscriptions
from qubes_manager.core.events import HostEvent, HostEventKind

Opener = Callable[[str], libvirt.virConnect]
# A peer that is silent for 5 × 5 s is gone (virConnectSetKeepAlive).
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 5, 5
_CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "an error on the line",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the host ended it",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "the host does not answer",
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

    def close(self) -> None:
        """Take the callbacks away, which hold the connection, and close it. Blocks."""
        if self._subscriptions:
            # Not every driver has had one to register.
            with contextlib.suppress(libvirt.libvirtError):
                self.raw.unregisterCloseCallback()
            self._subscriptions.deregister()
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.close()

    def _register(self, emit: Emit) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
        self._subscriptions = Subscriptions(self.raw, emit)
        with contextlib.suppress(libvirt.libvirtError):
            self.raw.registerCloseCallback(
                lambda _c, reason, _o: emit(HostEvent(HostEventKind.CLOSED, _CLOSE_REASONS.get(reason, "")), None), None
            )
        self._subscriptions.register()
