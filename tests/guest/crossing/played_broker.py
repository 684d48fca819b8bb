"""The host's side of a guest's ports, as tests play it, with unix sockets in the place of ports."""

import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self, TypeVar

from qubes_manager.core.crossing.guest_messages import FromGuest, Hello, Start, ToGuest, parse_from_guest
from qubes_manager.core.crossing.ports import CROSSING_PORTS, DATA_PORTS, REQUEST_PORT
from tests.waiting import PATIENCE, wait_until

# Seconds for what is to come at once; the machine may be busy.
Kind = TypeVar("Kind", bound=FromGuest)
_DAEMON = Path(__file__).with_name("run_daemon.py")


class PlayedBroker:
    """Listens where the guest's ports are, and talks with the service program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listeners = {name: _listen(folder / name) for name in CROSSING_PORTS}
        self.request: socket.socket | None = None
        self._buffer = b""

    def meet(self, *, says_hello: bool = True) -> Hello:
        """Take the service program's connection; returns its Hello."""
        self.request = self._accept(REQUEST_PORT)
        self._buffer = b""
        if says_hello:
            self.tell(Hello())
        hello = self.hear(Hello)
        if says_hello:
            assert not self.hear(Hello).begins, "ours is answered"
        return hello

    def leave(self) -> None:
        assert self.request
        self.request.close()
        self.request = None

    def say(self, line: bytes) -> None:
        assert self.request
        self.request.sendall(line)

    def tell(self, *messages: ToGuest) -> None:
        self.say(b"".join(b"\n" * isinstance(m, Hello) + m.to_json().encode() + b"\n" for m in messages))

    def hear(self, kind: type[Kind]) -> Kind:
        """The next message, which must be of that kind."""
        line = self.hear_line()
        assert line is not None, f"the service program has gone instead of saying {kind.TYPE}"
        message = parse_from_guest(line)
        assert isinstance(message, kind), message
        return message

    def hear_line(self, timeout: float = PATIENCE) -> bytes | None:
        """The next line; None when the service program has gone. Raises TimeoutError."""
        assert self.request
        self.request.settimeout(timeout)
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                if line:
                    return line
                continue
            data = self.request.recv(1 << 16)
            if not data:
                return None
            self._buffer += data

    def data(self, number: int) -> socket.socket:
        """The service program's connection to a data port."""
        port = self._accept(DATA_PORTS[number])
        port.settimeout(PATIENCE)
        return port

    def start(self, service: str, argument: str = "", call: int = 1 << 30, port: int = 0, user: str = "") -> None:
        self.tell(Start(call, service, argument, "work", "@default", port, user))

    def _accept(self, name: str) -> socket.socket:
        self._listeners[name].settimeout(PATIENCE)
        return self._listeners[name].accept()[0]

    def close(self) -> None:
        for end in (*self._listeners.values(), self.request):
            if end:
                end.close()


class RunningDaemon:
    """The service program as a process, with sockets for ports."""

    def __init__(self, folder: Path, services: Path) -> None:
        self.calls = folder / "calls"
        self.log = folder / "daemon.log"
        self._words = [sys.executable, str(_DAEMON), str(folder), str(self.calls), str(services)]
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(self._words, stdin=subprocess.DEVNULL, stderr=log)

    def again(self) -> None:
        """Kill it and start another one."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def children(self) -> list[int]:
        """Ids of its handlers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory_kib(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def until_listening(self) -> None:
        wait_until(self.calls.exists, "the service program listens")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()


def is_silent(end: socket.socket, seconds: float = 0.3) -> bool:
    """Whether nothing comes for a while."""
    return not select.select([end], [], [], seconds)[0]


def receive(end: socket.socket, size: int) -> bytes:
    """Exactly *size* bytes, or fewer when the other side has gone."""
    parts = bytearray()
    while len(parts) < size and (data := end.recv(min(1 << 16, size - len(parts)))):
        parts += data
    return bytes(parts)


def service(folder: Path, name: str, script: str) -> None:
    """Put a service into a folder, as a guest's user may."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener
