"""One running window a user: a second start raises the first."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtNetwork import QLocalServer, QLocalSocket

_TIMEOUT_MS = 500
_RAISE = b"raise\n"


def raise_running(address: Path) -> bool:
    """Ask a window that listens at *address* to come to the front; returns whether there is one."""
    socket = QLocalSocket()
    socket.connectToServer(str(address))
    if not socket.waitForConnected(_TIMEOUT_MS):
        return False
    socket.write(_RAISE)
    socket.waitForBytesWritten(_TIMEOUT_MS)
    socket.disconnectFromServer()
    return True


class SingleInstance(QObject):
    """Listens at *address* for later starts and calls *on_raise*."""

    def __init__(self, address: Path, on_raise: Callable[[], None]) -> None:
        super().__init__()
        self._on_raise = on_raise
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        # What a killed program left behind.
        QLocalServer.removeServer(str(address))
        self._server.listen(str(address))
        self._server.newConnection.connect(self._accept)

    def _accept(self) -> None:
        connection = self._server.nextPendingConnection()
        connection.disconnected.connect(connection.deleteLater)
        self._on_raise()
