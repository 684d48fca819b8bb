"""The open socket to the guest's display server, read and written from Qt's loop without ever waiting for it."""

import socket
from collections.abc import Callable

from PySide6.QtCore import QSocketNotifier

_CHUNK = 64 << 10
# A guest that does not read what the user does to its windows is hung up on.
_MOST_WAITING = 4 << 20


class GuestLink:
    """Hands what comes to *on_data*, a piece each turn of the loop; *on_end* hears once why it ended."""

    def __init__(self, end: socket.socket, on_data: Callable[[bytes], object], on_end: Callable[[str], object]) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._on_data, self._on_end = on_data, on_end
        self._waiting = bytearray()
        self._is_over = False
        self._reader = QSocketNotifier(end.fileno(), QSocketNotifier.Type.Read)
        self._writer = QSocketNotifier(end.fileno(), QSocketNotifier.Type.Write)
        self._writer.setEnabled(False)
        self._reader.activated.connect(self._read)
        self._writer.activated.connect(self._write)

    def pause(self, paused: bool) -> None:
        """Read nothing more while what has come is still being worked on."""
        self._reader.setEnabled(not paused and not self._is_over)

    def send(self, data: bytes) -> None:
        """Write *data*, or keep it until there is room."""
        if self._is_over or not data:
            return
        self._waiting += data
        if len(self._waiting) > _MOST_WAITING:
            self.end("the guest does not read")
        elif not self._writer.isEnabled():
            self._write()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(error.strerror or "it cannot be read")
            return
        if data:
            self._on_data(data)
        else:
            self.end("the guest closed the connection")

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._waiting)
            del self._waiting[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            self.end(error.strerror or "it cannot be written")
            return
        self._writer.setEnabled(bool(self._waiting))

    def end(self, why: str) -> None:
        """Neither read nor write any more."""
        if not self._is_over:
            self._is_over = True
            self._reader.setEnabled(False)
            self._writer.setEnabled(False)
            self._on_end(why)
