"""What a guest shows, without a guest: a real xpra server on this machine, in whose display programs can be started.

The server has the options of the guests' own session. That of another Debian release runs in a tree of its own; what
shows windows in its display is this machine's.
"""

import os
import re
import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from qubes_manager import guest
from tests.ending import end_program
from tests.waiting import PATIENCE
from tests.xpra_tree import run_there

HOSTILE = Path(__file__).with_name("integration") / "hostile_gui.py"
KEY_LOGGER = HOSTILE.with_name("key_logger.py")
# What of this program's surroundings a guest has nothing to do with.
OURS = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")
# As Debian's xpra starts its display.
DISPLAY_OPTIONS = ("+extension", "Composite", "-screen", "0", "5760x2560x24+32", "-dpi", "96")
# What the guest's bridge says first.
PREAMBLE = "qubes-manager-gui 1 xpra {}\n"


class NativeGuest:
    """A running server; ``close`` ends it with all that was started in it."""

    def __init__(self, folder: Path, version: str = "3.1") -> None:
        self.folder, self.version = folder, version
        self._programs: list[subprocess.Popen[bytes]] = []
        self._relays: list[Relay] = []
        folder.mkdir(0o700, exist_ok=True)
        settings = folder / "settings"
        settings.mkdir()
        shutil.copy(Path(guest.__file__).with_name("debian") / "xpra.conf", settings)
        self.socket = folder / "xpra.sock"
        self.log = folder / "xpra.log"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OURS},
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_DIRS": str(folder),
            "GDK_BACKEND": "x11",
            "QT_QPA_PLATFORM": "xcb",
            "NO_AT_BRIDGE": "1",
            # As the guests' own session has it.
            "XPRA_SYSTEM_CONF_DIRS": str(settings),
            "XPRA_DEFAULT_CONF_DIRS": "/none",
            "XPRA_USER_CONF_DIRS": "/none",
        }
        self._screen = self._start_screen()
        words = [*run_there(version, folder), "xpra", "start", self.display, "--use-display", "--daemon=no"]
        self._server = self.start(*words, f"--bind={self.socket}", f"--socket-dirs={folder}")
        self._programs.clear()
        self._until_ready()

    def _start_screen(self) -> subprocess.Popen[bytes]:
        """Start what xpra would start as its display, but let anybody of this machine's user in."""
        read, write = os.pipe()
        words = ["Xvfb", "-displayfd", str(write), "-nolisten", "tcp", "-noreset", *DISPLAY_OPTIONS]
        with self.log.open("ab") as log:
            screen = subprocess.Popen(
                words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(write,)
            )
        os.close(write)
        with os.fdopen(read) as pipe:
            self.display = f":{pipe.readline().strip()}"
        self.environment["DISPLAY"] = self.display
        return screen

    def _until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while "xpra is ready" not in self.log.read_text(errors="replace"):
            if self._server.poll() is not None or time.monotonic() > end:
                self.close()
                raise RuntimeError(f"xpra did not start: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def start(self, *words: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program in its display; what it prints goes to the server's log."""
        with self.log.open("ab") as log:
            program = subprocess.Popen(
                [*map(str, words)],
                env={**self.environment, **(environment or {})},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._programs.append(program)
        return program

    def run(self, *words: str) -> str:
        """Run a program in its display to its end; returns what it prints."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.stdout

    def resolution(self) -> str:
        """Dots per inch, as programs in it read them; empty where nothing says so."""
        found = re.search(r"Xft.dpi:\\t(\d+)", self.run("xprop", "-root", "RESOURCE_MANAGER"))
        return found[1] if found else ""

    def terminal(self, title: str, command: str = "exec cat", *options: str) -> subprocess.Popen[bytes]:
        """Start a terminal that runs a command of the shell."""
        return self.start("xterm", *options, "-T", title, "-e", "sh", "-c", command)

    def be_hostile(self, *words: object) -> subprocess.Popen[bytes]:
        """Start the hostile program (tests/integration/hostile_gui.py)."""
        return self.start("/usr/bin/python3", self._copied(HOSTILE), *words)

    def log_keys(self, title: str) -> Path:
        """Open a window that writes each key it sees to the file that is returned: "+a" when it goes down, "-a" up."""
        keys = self.folder / "keys"
        keys.write_text("")
        self.start("/usr/bin/python3", self._copied(KEY_LOGGER), title, keys)
        return keys

    def _copied(self, program: Path) -> Path:
        return Path(shutil.copy(program, self.folder))

    def connect(self, *, tells: bool = True) -> socket.socket:
        """A new connection, as a guest's port is one; a bridge that *tells* says first what server there is."""
        ours, theirs = socket.socketpair()
        self._relays.append(Relay(theirs, self.socket, PREAMBLE.format(self.version) if tells else ""))
        return ours

    def end(self, program: subprocess.Popen[bytes]) -> None:
        """End a program that was started in it."""
        end_program(program)

    def clear(self) -> None:
        """End all programs that were started in it."""
        while self._programs:
            self.end(self._programs.pop())

    def vanish(self) -> None:
        """End all of it, without the last that has connected hearing of it."""
        self._relays[-1].hold()
        self._server.kill()
        self.close()

    def close(self) -> None:
        """End it all, by process id."""
        self.clear()
        for relay in self._relays:
            relay.close()
        for process in (self._server, self._screen):
            self.end(process)


class Relay:
    """Carries bytes between a viewer's socket and the server's, as the bridge in a guest does."""

    def __init__(self, viewer: socket.socket, server: Path, preamble: str) -> None:
        self._ends = (viewer, socket.socket(socket.AF_UNIX))
        self._ends[1].connect(str(server))
        self._hung_up: tuple[socket.socket, ...] = self._ends
        viewer.sendall(preamble.encode())
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        with selectors.DefaultSelector() as ready:
            for end, other in (self._ends, self._ends[::-1]):
                ready.register(end, selectors.EVENT_READ, other)
            try:
                while True:
                    for key, _events in ready.select():
                        data = key.fileobj.recv(256 << 10)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
            except OSError:
                return
            finally:
                for end in self._ends:
                    end.close()

    def hold(self) -> None:
        """Keep the viewer's side open for good, whatever the other one does."""
        self._held = self._ends[0].dup()
        self._hung_up = self._ends[1:]

    def close(self) -> None:
        """Hang up on both sides."""
        for end in self._hung_up:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join(PATIENCE)
