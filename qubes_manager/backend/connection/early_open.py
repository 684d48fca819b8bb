"""Opening a connection while the rest of the program is still being imported.

Importing asyncio, lxml, Qt and our own modules takes about as long as connecting, and libvirt connects without
holding the interpreter: together they take half the time. Nothing slow may be imported here.
"""

import threading

import libvirt

from qubes_manager.backend.connection import libvirt_errors as _libvirt_errors  # noqa: F401 - silences libvirt's own messages
from qubes_manager.backend.connection.event_thread import ensure_event_thread


class EarlyOpen:
    """Starts to connect to *uri* at once; calling it waits for the connection. *watch*: events will be wanted."""

    def __init__(self, uri: str, *, watch: bool = False) -> None:
        if watch:
            ensure_event_thread()
        self._uri = uri
        self._connection: libvirt.virConnect | None = None
        self._error: libvirt.libvirtError | None = None
        self._thread = threading.Thread(target=self._open, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        try:
            self._connection = libvirt.open(self._uri)
        except libvirt.libvirtError as error:
            self._error = error

    def __call__(self, _uri: str) -> libvirt.virConnect:
        """Return the connection; raises libvirtError. Blocks."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._connection
