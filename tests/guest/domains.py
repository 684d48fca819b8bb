"""Domains as folders of this machine: commands run here, and each service as a program of its own, joined by pipes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from qubes_manager.core.errors import Refused
from qubes_manager.guest.crossing.client import CallFailed, Heard, Result
from qubes_manager.guest.crossing.handlers import OWN

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the host."""

    service: str
    argument: str
    target: str
    names: tuple[str, ...]
    count: int
    size: int


@dataclass
class Domain:
    """A domain that is called: its home, and what it is to do at a byte of what comes."""

    home: Path
    source: str = "personal"
    refuses: str = ""
    # What the host says while a call is not under way yet.
    waits: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    # Called with the service's process and all bytes that have gone to it so far.
    on_written: Callable[[subprocess.Popen[bytes], int], object] = lambda _process, _count: None
    on_read: Callable[[bytes], bytes] = lambda data: data

    @property
    def incoming(self) -> Path:
        """Where files of the caller land."""
        return self.home / "QubesIncoming" / self.source

    def start(
        self, module: str, arguments: Sequence[str] = (), python: str = sys.executable
    ) -> subprocess.Popen[bytes]:
        """Start a service."""
        environment = {
            "HOME": str(self.home),
            # A test may kill a service before it has cleared up.
            "TMPDIR": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_ROOT),
            "LANG": "C.UTF-8",
            "QREXEC_REMOTE_DOMAIN": self.source,
            **self.environment,
        }
        code = (
            f"import sys; from qubes_manager.guest.services.{module} import main; sys.exit(main({list(arguments)!r}))"
        )
        return subprocess.Popen(
            [python, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )

    def call(
        self,
        service: str,
        argument: str = "",
        target: str = "@default",
        *,
        names: Sequence[str] = (),
        count: int = 0,
        size: int = 0,
        heard: Heard = lambda _text: None,
    ) -> "PipeConversation":
        """What a command calls."""
        self.asked.append(Asked(service, argument, target, tuple(names), count, size))
        heard(self.waits)
        if self.refuses:
            raise Refused(self.refuses)
        process = self.start(OWN[service], [argument] if argument else [])
        return PipeConversation(process, self, heard)


class PipeConversation:
    """A call whose service is a program of this machine."""

    target = "work"

    def __init__(self, process: subprocess.Popen[bytes], domain: Domain, heard: Heard) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.process = process
        self._domain = domain
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._written = 0
        self._heard = heard
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def write(self, data: bytes) -> None:
        try:
            self._stdin.write(data)
            self._stdin.flush()
        except OSError as error:
            raise CallFailed("the service has ended") from error
        self._written += len(data)
        self._domain.on_written(self.process, self._written)

    def finish(self) -> None:
        try:
            self._stdin.close()
        except OSError:
            return

    def read(self, size: int = 1 << 16) -> bytes:
        data = self._domain.on_read(os.read(self._stdout.fileno(), size))
        if not data and self.process.wait() < 0:
            raise CallFailed("the other side broke off before all was sent")
        return data

    def join(self, source: int, target: int, *, clean: Callable[[bytes], bytes] = bytes, drops: bool = False) -> Result:
        while data := os.read(source, 1 << 16):
            self.write(data)
        self.finish()
        while data := self.read():
            os.write(target, clean(data))
        return self.result()

    def result(self) -> Result:
        self.finish()
        while self.read():
            pass
        return Result(self.process.wait())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self.finish()
        self._stdout.close()
        self._stderr.close()

    def _read_errors(self) -> None:
        while data := os.read(self._stderr.fileno(), 1 << 12):
            self._heard(data.decode())


class PlayedCall:
    """A call that was answered before it was made, and takes whatever is said in it."""

    target = "dom0"

    def __init__(self, answer: bytes = b"") -> None:
        self.said = b""
        self.is_finished = False
        self._answer = answer

    def write(self, data: bytes) -> None:
        self.said += data

    def finish(self) -> None:
        self.is_finished = True

    def read(self, size: int = 1 << 16) -> bytes:
        data, self._answer = self._answer[:size], self._answer[size:]
        return data

    def join(self, source: int, target: int, *, clean: Callable[[bytes], bytes] = bytes, drops: bool = False) -> Result:
        raise NotImplementedError

    def result(self) -> Result:
        return Result(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return
