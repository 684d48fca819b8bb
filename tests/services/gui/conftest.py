"""The program that shows windows, on the test driver, where no domain has any, and stand-ins for what has some."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qubes_manager.backend.viewers import viewer_process
from qubes_manager.backend.viewers.programs import ViewerProgram
from qubes_manager.backend.viewers.sandbox import SandboxCommand
from qubes_manager.core.domain import GUI_PORT
from qubes_manager.services.assembly import Services
from qubes_manager.services.gui import notices
from qubes_manager.services.gui.address import socket_path
from qubes_manager.services.gui.service import GuiService
from tests.waiting import until

URI = "test:///default"
NOBODY = "00000000-0000-4000-8000-000000000000"
ALIAS = "channel1"
# Says that it shows the guest's windows when it may connect, and ends when it is told nothing any more.
SHOWS = """
while read -r line; do
  echo "$line" >>"$1"
  case $line in *'"go"'*) echo '{"type": "connected"}';; esac
done
"""


@pytest.fixture
def own_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is drawn here; the name alone keeps this service apart from others.
    monkeypatch.setenv("DISPLAY", f":{os.getpid()}")


def service(grace: float, uri: str = URI) -> GuiService:
    return Services.connecting(watch=True).gui_service(uri, grace)


async def until_it_listens(uri: str = URI) -> None:
    await until(lambda: socket_path(uri).exists())


class Guest:
    """Stands for libvirt's handle of a running domain with the port for windows, a screen and nothing behind them."""

    def __init__(self, path: Path, state: str = "disconnected") -> None:
        self.state = state
        self._path = path

    def XMLDesc(self, _flags: int = 0) -> str:
        target = f"<target name='{GUI_PORT}' state='{self.state}'/>"
        channel = f"<channel><source path='{self._path}'/>{target}<alias name='{ALIAS}'/></channel>"
        return f"<domain><devices>{channel if self.state else ''}</devices></domain>"

    def openGraphicsFD(self, _number: int, _flags: int) -> int:
        return socket.socket(socket.AF_UNIX).detach()


class Viewers:
    """Viewers that are shell scripts; each takes the orders that are in ``orders`` then."""

    def __init__(self, folder: Path) -> None:
        self.script = SHOWS
        self._orders = folder / "orders"

    @contextlib.contextmanager
    def command(
        self, _program: ViewerProgram, _arguments: Sequence[str] = (), readers: object = None
    ) -> Iterator[SandboxCommand]:
        yield SandboxCommand(["/bin/sh", "-c", self.script, "viewer", str(self._orders)])

    @property
    def orders(self) -> str:
        """What all of them were told, one order a line."""
        return self._orders.read_text() if self._orders.exists() else ""


@pytest.fixture
def viewers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Viewers:
    viewers = Viewers(tmp_path)
    monkeypatch.setattr(viewer_process, "viewer_command", viewers.command)
    return viewers


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Path]:
    """The socket of a port on the host's side, which takes one client at a time as QEMU's does."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "port"))
        listener.listen(1)
        threading.Thread(target=_take_clients, args=(listener,), daemon=True).start()
        yield tmp_path / "port"
        listener.shutdown(socket.SHUT_RDWR)


def _take_clients(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _address = listener.accept()
            with client:
                while client.recv(4096):
                    pass


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What the desktop shows."""
    told: list[tuple[str, bool]] = []

    def show(_title: str, text: str, *, replaces: str = "", urgent: bool = False) -> str:
        told.append((text, urgent))
        return ""

    monkeypatch.setattr(notices, "show_notice", show)
    return told
