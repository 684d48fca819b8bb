"""A virtual screen with a window manager and a session bus, for driving the real program as a person would."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.ending import end_program
from tests.waiting import PATIENCE, wait_until

PICTURES = Path(__file__).parents[1] / "build/pictures"
# Workers that run tests side by side keep out of each other's way.
FAILED = "-".join(filter(None, ("failed", os.environ.get("PYTEST_XDIST_WORKER"))))

OPENBOX = ("openbox", "--sm-disable")


class Screen:
    """Xvfb, openbox, a D-Bus session and the accessibility bus; all end with ``close``.

    Another window manager is named by its command line; with an empty one it is Xvfb alone.
    """

    def __init__(self, folder: Path, size: str = "1280x800", manager: Sequence[str] = OPENBOX) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        read, write = os.pipe()
        xvfb = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"]
        self._start(xvfb, dict(os.environ), pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as pipe:
            display = f":{pipe.readline().strip()}"
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM")},
            "DISPLAY": display,
            "XDG_RUNTIME_DIR": str(runtime),
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
            "QT_QPA_PLATFORM": "xcb",
            "QT_LOGGING_RULES": "qt.accessibility.atspi=false",
        }
        if manager:
            self._start_desktop(manager)

    def _start_desktop(self, manager: Sequence[str]) -> None:
        self.start_bus()
        self._start([*manager], self.environment)
        launcher = next(
            (
                p
                for p in ("/usr/libexec/at-spi-bus-launcher", "/usr/lib/at-spi2-core/at-spi-bus-launcher")
                if Path(p).exists()
            ),
            None,
        )
        self._until(lambda: "window id" in self.run("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), "window manager")
        if launcher:
            self._start([launcher, "--launch-immediately"], self.environment)
            self._until(lambda: "unix:" in self.run("xprop", "-root", "AT_SPI_BUS"), "accessibility bus")

    def start_bus(self) -> None:
        """Start a session bus, for programs that are started from then on."""
        runtime = Path(self.environment["XDG_RUNTIME_DIR"])
        address = f"unix:path={runtime}/bus"
        self._start(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"], self.environment)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = address
        self._until(lambda: (runtime / "bus").exists(), "session bus")

    def _until(self, check: Callable[[], bool], what: str) -> None:
        wait_until(check, f"the {what} did not start")

    def _start(self, argv: list[str], environment: dict[str, str], **options: object) -> None:
        log = (self._folder / "screen.log").open("ab")
        self._processes.append(
            subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)  # type: ignore[call-overload]
        )

    def run(self, *argv: str, timeout: float = PATIENCE) -> str:
        """Run a tool on this screen and return what it prints."""
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False)
        return done.stdout

    def picture(self, target: Path) -> None:
        """Save a picture of the whole screen, if a tool for that is there."""
        if shutil.which("import"):
            target.parent.mkdir(parents=True, exist_ok=True)
            self.run("import", "-window", "root", str(target))

    def close(self) -> None:
        """End everything, by process id, last started first."""
        for process in reversed(self._processes):
            end_program(process)
