"""A virtual desktop on which domains' windows are shown by the real programs, and looked at as a person would."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.desktops.desktop import Desktop
from tests.desktops.sway import SwayDesktop
from tests.desktops.x11 import X11Desktop
from tests.strays import ALIVE
from tests.waiting import GUEST_PATIENCE

COMMANDS = Path(sys.executable).parent


class Programs(Desktop):
    """What a user of ours has beside the desktop: commands run here have their own home, and come to this screen."""

    # Guests in software emulation share the processors with what other workers run.
    patience = GUEST_PATIENCE

    def settle(self, uri: str, home: Path | None = None) -> None:
        """Make a *home* of it, for a user who has that connection, unless it is one that another desk has made."""
        folder = home or self.folder
        self.uri, self.home, self._shares = uri, folder, home is not None
        places = {name: str(folder / name) for name in ("config", "state", "data", "cache")}
        self.environment |= {
            **{f"XDG_{name.upper()}_HOME": place for name, place in places.items()},
            "HOME": str(folder),
            ALIVE: str(folder / "alive"),
        }
        if not home:
            (folder / "alive").touch()
        self.data, self.config, self.state = (folder / name for name in ("data", "config", "state"))

    def run(
        self, *words: object, timeout: float = GUEST_PATIENCE, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ours as a user would type it."""
        command, *rest = map(str, words)
        done = subprocess.run(
            [COMMANDS / command, *rest],
            env={**self.environment, "QUBES_MANAGER_URI": self.uri},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stderr)
        return done

    def lacks(self, name: str) -> bool:
        """Whether libvirt knows no domain of this name; not said while the host is too busy to answer."""
        done = self.run("qvm-ls", "--raw-list", check=False)
        return done.returncode == 0 and name not in done.stdout.split()

    def logs(self) -> str:
        """The ends of what the programs logged."""
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.state.rglob("*.log")))

    def processes(self, part: str) -> list[int]:
        """Processes of this desk whose command line has *part*."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = path.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
                if part in words and self._is_mine(path):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def _is_mine(self, path: Path) -> bool:
        # In the sandbox the home is another one.
        variables = path.joinpath("environ").read_bytes().split(b"\0")
        screen = next(f"{name}={self.environment[name]}" for name in SCREENS if name in self.environment)
        return any(word.encode() in variables for word in ([] if self._shares else [f"HOME={self.home}"]) + [screen])

    def end_programs(self) -> None:
        """End the services with their viewers, by process id."""
        programs = ("gui",) if self._shares else ("gui", "broker")
        if not self._shares:
            (self.home / "alive").unlink()
        for program in programs:
            for pid in self.processes(f"qubes_manager {program}"):
                os.kill(pid, signal.SIGTERM)
        # They would keep the ports of what other tests start on the same libvirtd.
        for program in programs:
            self.until(
                lambda program=program: not self.processes(f"qubes_manager {program}"),  # type: ignore[misc]
                f"the service {program} ends",
            )
        self.until(lambda: not self.processes("qubes_manager.viewers"), "the viewers end")


# What names the screen that a program comes to.
SCREENS = ("WAYLAND_DISPLAY", "DISPLAY")


class Desk(Programs, X11Desktop):
    """A user at a desktop of X11."""

    def __init__(self, folder: Path, uri: str) -> None:
        X11Desktop.__init__(self, folder)
        self.settle(uri)

    def close(self) -> None:
        self.end_programs()
        X11Desktop.close(self)


class WaylandDesk(Programs, SwayDesktop):
    """A user at a desktop of Wayland, who may have another desk in the same *home*."""

    def __init__(self, folder: Path, uri: str, home: Path | None = None) -> None:
        SwayDesktop.__init__(self, folder)
        self.settle(uri, home)

    def close(self) -> None:
        self.end_programs()
        SwayDesktop.close(self)
