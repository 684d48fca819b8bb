"""The bridge inside guests: a port and a server are stand-ins, joined by the real code."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.guest.session import gui_bridge
from tests.waiting import PATIENCE

# Tells when a host is there; the port of the real one is a device that nobody has here.
WAIT = """
import os, sys
from qubes_manager.guest.session import gui_bridge
gui_bridge.signal.pthread_sigmask(gui_bridge.signal.SIG_BLOCK, {gui_bridge.signal.SIGIO})
print("waiting", flush=True)
gui_bridge.wait_for_host(int(sys.argv[1]))
print("there", flush=True)
"""
# The whole program, on a port and a server of the test's; a terminal's end is a file that is opened by path too.
BRIDGE = """
import sys
from qubes_manager.guest.session import gui_bridge
sys.path.insert(0, sys.argv[3])
gui_bridge.PORT, gui_bridge.SERVER = sys.argv[1:3]
gui_bridge.main()
"""


class Joined:
    """Both far ends of what the bridge has joined."""

    def __init__(self) -> None:
        self.host, self._port = socket.socketpair()
        self.server, self._server = socket.socketpair()
        for inner in (self._port, self._server):
            # A real port takes less at a time than the bridge has for it.
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self._bridge = threading.Thread(target=gui_bridge.join, args=(self._port.fileno(), self._server), daemon=True)
        for end in (self.host, self.server):
            end.settimeout(PATIENCE)
        self._bridge.start()

    def has_ended(self) -> bool:
        self._bridge.join(PATIENCE)
        return not self._bridge.is_alive()

    def close(self) -> None:
        for end in (self.host, self._port, self.server, self._server):
            end.close()


@pytest.fixture
def joined() -> Iterator[Joined]:
    joined = Joined()
    yield joined
    joined.host.close()
    assert joined.has_ended()
    joined.close()


def read(end: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += end.recv(1 << 20)
    return got


def test_both_sides_hear_each_other(joined: Joined) -> None:
    joined.host.sendall(b"hello")
    assert joined.server.recv(100) == b"hello"
    joined.server.sendall(b"welcome")
    assert joined.host.recv(100) == b"welcome"


def test_a_side_that_does_not_read_holds_up_nobody_but_who_talks_to_it(joined: Joined) -> None:
    data = os.urandom(4 << 20)
    talk = threading.Thread(target=joined.server.sendall, args=(data,), daemon=True)
    talk.start()
    # The host does not read; what it says itself still arrives.
    joined.host.sendall(b"stop!")
    assert joined.server.recv(100) == b"stop!"
    assert talk.is_alive()
    assert read(joined.host, len(data)) == data


@pytest.mark.parametrize("side", ["host", "server"])
def test_the_end_of_one_side_is_the_end(joined: Joined, side: str) -> None:
    getattr(joined, side).shutdown(socket.SHUT_WR)
    assert joined.has_ended()


def test_a_server_is_ready_when_it_takes_clients_and_not_when_its_socket_has_a_name(tmp_path: Path) -> None:
    path = str(tmp_path / "server")
    assert not gui_bridge.is_ready(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert not gui_bridge.is_ready(path)
        server.listen()
        assert gui_bridge.is_ready(path)


def test_nobody_is_taken_for_a_host_before_there_is_one(tmp_path: Path) -> None:
    fifo = tmp_path / "port"
    os.mkfifo(fifo)
    port = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    # A pipe hangs up, as the port does, when a writer was there and is gone.
    os.close(os.open(fifo, os.O_WRONLY))
    waiting = subprocess.Popen([sys.executable, "-c", WAIT, str(port)], stdout=subprocess.PIPE, pass_fds=[port])
    assert waiting.stdout
    try:
        assert waiting.stdout.readline() == b"waiting\n"
        time.sleep(0.2)
        assert waiting.poll() is None
        host = os.open(fifo, os.O_WRONLY)
        waiting.send_signal(signal.SIGIO)
        assert waiting.communicate(timeout=PATIENCE)[0] == b"there\n"
        os.close(host)
    finally:
        waiting.kill()
        waiting.wait()
        os.close(port)


@pytest.mark.parametrize(
    ("source", "version"),
    [
        ('__version__ = "3.1.3"\n', "3.1.3"),
        ("# of 9.9\n__version_info__ = (6, 5, 5)\n__version__ = '6.5.5'\n", "6.5.5"),
        ('__version__ = "6\\nxpra 3.1"\n', "unknown"),
        ("", "unknown"),
    ],
    ids=["double", "single", "strange", "none"],
)
def test_the_version_of_the_server_is_read_without_loading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, version: str
) -> None:
    (tmp_path / "xpra").mkdir()
    (tmp_path / "xpra/__init__.py").write_text(f"{source}raise SystemExit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert gui_bridge.preamble() == f"qubes-manager-gui 1 xpra {version}\n".encode()


def test_the_first_line_to_a_host_is_the_bridges_own_and_what_the_server_says_comes_behind_it(tmp_path: Path) -> None:
    (tmp_path / "xpra").mkdir()
    (tmp_path / "xpra/__init__.py").write_text('__version__ = "6.5.5"\n')
    host, port = os.openpty()
    tty.setraw(port)
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(PATIENCE)
        server.bind(str(tmp_path / "server"))
        server.listen()
        words = [sys.executable, "-c", BRIDGE, os.ttyname(port), str(tmp_path / "server"), str(tmp_path)]
        bridge = subprocess.Popen(words)
        try:
            # The first client is the look whether it is ready.
            server.accept()[0].close()
            joined, _ = server.accept()
            joined.sendall(b"hello")
            with open(host, "rb", buffering=0, closefd=False) as end:
                said = b""
                while not said.endswith(b"hello"):
                    said += end.read(100)
            assert said == b"qubes-manager-gui 1 xpra 6.5.5\nhello"
            joined.close()
        finally:
            bridge.kill()
            bridge.wait()
            os.close(host)
            os.close(port)
