"""The real program in a real window, driven as a person would."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ending import end_program
from tests.screen import FAILED, PICTURES, Screen
from tests.waiting import PATIENCE

COMMANDS = Path(sys.executable).parent
# The set-up assistant opens by itself only the first time; most tests are about later times.
NO_OFFER = "setup_offered: true\n"
# pyatspi comes as a Debian package, for the system's own Python only.
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Control:
    """A control as AT-SPI tells it."""

    role: str
    name: str
    text: str
    states: frozenset[str]
    box: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[int, int]:
        x, y, width, height = self.box
        return x + width // 2, y + height // 2


class Program:
    """A running manager on a virtual screen."""

    def __init__(
        self,
        screen: Screen,
        folder: Path,
        *options: str,
        settings: str = NO_OFFER,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.screen = screen
        self.folder = folder
        config = folder / "config/qubes-manager"
        config.mkdir(parents=True, exist_ok=True)
        if settings:
            (config / "settings.yaml").write_text(settings)
        self.environment = {
            **screen.environment,
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_DATA_HOME": str(folder / "data"),
            **(environment or {}),
        }
        self.log = folder / "program.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMANDS / "qubes-manager", "--log-level", "info", *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    # Seeing.

    def ready(self) -> None:
        """Wait until the program says that its table shows all rows, and its window is there."""
        self.until(lambda: re.search(r"ready rows=\d+ elapsed_ms=\d+", self.log.read_text()), "ready")
        self.until(lambda: self.find("table", "Domains") or self.find(None, "No domains yet"), "the window")

    def controls(self) -> list[Control]:
        script = Path(__file__).with_name("accessible.py")
        output = self.screen.run(SYSTEM_PYTHON, str(script))
        return [
            Control(c["role"], c["name"], c["text"], frozenset(c["states"]), tuple(c["box"]))
            for c in json.loads(output or "[]")
        ]

    def find(self, role: str | None, name: str, *, showing: bool = True) -> Control | None:
        # Dialogs come behind the window they belong to.
        for control in reversed(self.controls()):
            fits = name in (control.name, control.text)
            if fits and (role is None or role == control.role) and (not showing or "showing" in control.states):
                return control
        return None

    def texts(self) -> list[str]:
        """Everything that can be read on the screen."""
        shown = [c for c in self.controls() if "showing" in c.states]
        return [c.name for c in shown] + [c.text for c in shown]

    def reads(self, part: str) -> str:
        """Wait for a text that has *part*, and return it whole."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [text for text in self.texts() if part in text]
            return bool(found)

        self.until(look, f"a text with {part!r}")
        return found[0]

    def until(self, check: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not check():
            assert self.process.poll() is None, self.log.read_text()
            if time.monotonic() > end:
                self.picture(FAILED)
                pytest.fail(f"not within {PATIENCE:.0f} s: {what}\n{self.log.read_text()[-2000:]}\n{self.texts()}")
            time.sleep(0.15)

    def picture(self, name: str) -> None:
        self.screen.picture(PICTURES / f"{name}.png")

    # Acting.

    def click(self, name: str, role: str | None = None, *, double: bool = False) -> None:
        """Click a control with the mouse."""
        self.until(lambda: self.find(role, name), f"{role or 'a control'} {name!r}")
        control = self.find(role, name)
        assert control
        x, y = control.centre
        clicks = ["--repeat", "2", "--delay", "60"] if double else []
        self.screen.run("xdotool", "mousemove", str(x), str(y), "click", *clicks, "1")
        time.sleep(0.15)

    def keys(self, *keys: str) -> None:
        """Press keys."""
        self.screen.run("xdotool", "key", "--delay", "40", *keys)
        time.sleep(0.2)

    def type(self, text: str) -> None:
        """Type text."""
        self.screen.run("xdotool", "type", "--delay", "15", text)
        time.sleep(0.2)

    def choose(self, domain: str) -> None:
        """Click a domain's row."""
        self.click(domain, "table cell")

    def choose_row(self, domain: str) -> None:
        """Click a domain's row where the panel shows the domain too."""
        self.until(lambda: self.find("table cell", domain), f"the row of {domain}")
        # The table comes before the panel.
        row = next(c for c in self.controls() if (c.role, c.name) == ("table cell", domain) and "showing" in c.states)
        self.screen.run("xdotool", "mousemove", *map(str, row.centre), "click", "1")
        time.sleep(0.15)

    def cells(self) -> list[str]:
        """What the table's cells say."""
        return [c.name or c.text for c in self.controls() if c.role == "table cell" and "showing" in c.states]

    def quit(self) -> int:
        """Close the program with the keyboard."""
        self.keys("ctrl+q")
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            end_program(self.process)


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"))
    yield screen
    screen.close()


@pytest.fixture
def start(screen: Screen) -> Iterator[Callable[..., Program]]:
    """Start the program; it is ended with the test."""
    programs: list[Program] = []
    # Sockets of our programs lie below it, whose paths are short (unix(7)), and pytest's are not.
    folder = Path(tempfile.mkdtemp(prefix="qm-e2e-"))

    def start(*options: str, ready: bool = True, **how: Any) -> Program:
        program = Program(screen, folder, *options, **how)
        programs.append(program)
        if ready:
            program.ready()
        return program

    yield start
    for program in programs:
        program.close()
    shutil.rmtree(folder, ignore_errors=True)
