"""The session of guests as it begins there: the real script with the real tools, on this machine."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.guests.guest_tools import FOLDER, tool_files
from tests.waiting import PATIENCE, wait_until

# Where guests have it.
RUN = "/run/qubes-manager-gui"


class Session:
    """All of its files in a *folder*, which their words name instead of the guest's own."""

    def __init__(self, folder: Path) -> None:
        self.run, self.log = folder / "run", folder / "log"
        self.run.mkdir(0o700)
        # No other display of this machine is called so.
        number = 1000 + os.getpid() % 30000
        # Where its display says which process it is, which no group of processes has.
        self.lock = Path(f"/tmp/.X{number}-lock")
        self.tools = folder / FOLDER
        for place, file in tool_files().items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            text = file.data.decode().replace(f"/{FOLDER}", str(self.tools)).replace(RUN, str(self.run))
            path.write_text(text.replace(":10", f":{number}") if "session" in place or "launcher" in place else text)
            path.chmod(file.mode)
        # Where there is this file, xpra leaves the one of whoever runs the tests alone.
        cookies = folder / ".Xauthority"
        cookies.touch(0o600)
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "XAUTHORITY": str(cookies),
            "XDG_RUNTIME_DIR": str(self.run),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.tools / "gui-session"], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def inside(self, line: str) -> str:
        """What a line of the shell says in it."""
        words = [str(self.tools / "in-session"), line]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self.log.read_text()}"
        return done.stdout

    def close(self) -> None:
        """End it with all that it started, as a guest's systemd does."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(PATIENCE)
        with contextlib.suppress(OSError):
            os.kill(int(self.lock.read_text()), signal.SIGTERM)


@pytest.fixture
def session(shared_folder: Path) -> Iterator[Session]:
    if not shutil.which("xpra"):
        pytest.skip("xpra is not installed")
    running = Session(shared_folder)
    yield running
    running.close()


def test_a_session_has_its_display_its_bus_and_what_starts_applications(session: Session) -> None:
    # Begun at once, a line waits for all that it needs.
    ask = "dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId && xprop -root"
    said = session.inside(ask)
    assert "method return" in said and "_XKB_RULES_NAMES" in said
    wait_until((session.run / "launch").is_fifo, session.log.read_text)
    assert "GDK_SCALE=1" in session.inside("env")
