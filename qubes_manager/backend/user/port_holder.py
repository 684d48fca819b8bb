"""Which of the user's programs has a domain's port: one at a time, on whatever screen."""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from qubes_manager.backend.user.byte_lock import ByteLock
from qubes_manager.backend.user.screen import screen_name
from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.core.errors import Refused


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A program: its process, its name, the display where it shows things, and the socket that it can be asked at."""

    pid: int
    program: str
    display: str
    socket: str

    @classmethod
    def here(cls, program: str, socket: str) -> "PortHolder":
        """This program, on this screen."""
        return cls(os.getpid(), program, screen_name(), socket)

    @property
    def sentence(self) -> str:
        """Who it is, for people."""
        place = f" on display {self.display}" if self.display else ""
        return f"{self.program} (process {self.pid}){place}"


class PortTaken(Refused):
    """Another program of the user's has the port; *holder* says which, where that is known."""

    def __init__(self, holder: PortHolder | None) -> None:
        super().__init__(f"{holder.sentence if holder else 'another program of yours'} has it")
        self.holder = holder


class HeldPort:
    """A port that is this program's until ``close``, or until it dies: then the kernel lets go.

    By the domain's UUID and not by its connection: one domain is reached by several addresses. Raises PortTaken.
    Blocks.
    """

    def __init__(self, uuid: str, port: str, holder: PortHolder) -> None:
        name = f"port {uuid} {port}"
        self._note = user_folder() / f"port-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        self._lock = ByteLock(name)
        try:
            if not self._lock.try_hold():
                raise PortTaken(_read(self._note))
            write_whole(self._note, json.dumps(asdict(holder)).encode())
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let go."""
        with contextlib.suppress(OSError):
            self._note.unlink()
        self._lock.close()


def _read(note: Path) -> PortHolder | None:
    """Who holds a port by its own word; None in the moment before it has said so."""
    try:
        said = json.loads(note.read_bytes())
        return PortHolder(int(said["pid"]), str(said["program"]), str(said["display"]), str(said["socket"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
