"""One running window a user: a second start raises the first."""

import hashlib
import os
from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtNetwork import QLocalServer, QLocalSocket

_TIMEOUT_MS = 500
_RAISE = b"raise\n"


def _name() -> str:
    """A name that belongs to the user and to the runtime folder, so that tests do not meet the user's window."""
    place = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"qubes-manager-{os.getuid()}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def raise_running() -> bool:
    """Ask a window that runs already to come to the front; returns whether there is one."""
    socket = QLocalSocket()
    socket.connectToServer(_name())
    if not socket.waitForConnected(_TIMEOUT_MS):
        return False
    socket.write(_RAISE)
    socket.waitForBytesWritten(_TIMEOUT_MS)
    socket.disconnectFromServer()
    return True


class SingleInstance(QObject):
    """Listens for later starts and calls *on_raise*."""

    def __init__(self, on_raise: Callable[[], None]) -> None:
        super().__init__()
        self._on_raise = on_raise
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        # What a killed program left behind.
        QLocalServer.removeServer(_name())
        self._server.listen(_name())
        self._server.newConnection.connect(self._accept)

    def _accept(self) -> None:
        connection = self._server.nextPendingConnection()
        connection.disconnected.connect(connection.deleteLater)
        self._on_raise()
